//! Segmentation: IoU, Dice and pixel accuracy over all pixels, and Dice per image.
//!
//! * Pooled: one confusion matrix over all labelled pixels of all images. `Dice_c = 2 TP / (2 TP + FP + FN)`,
//!   `IoU_c = TP / (TP + FP + FN)`; a class in neither truth nor prediction has no score. Large objects weigh more.
//! * Per image (`dice_image`): for each foreground class (all but 0) the mean of its Dice over the images **whose truth has
//!   the class**, then the mean over those classes. With one foreground class this is the usual "mean Dice per case". The
//!   Dice of an image with empty truth is undefined without predictions and 0 for a single wrong pixel, so such images are
//!   left out; their false positives still lower the pooled Dice and IoU.

use crate::confusion::Confusion;
use crate::error::{Error, divide, same_length};
use crate::score::{Score, mean_defined};

/// Counts over pixels and sums over images.
///
/// `n` of the pooled scores is the number of labelled pixels, `n` of `dice_image` that of images with foreground, and `n` of
/// `dice_image/CLASS` that of images with the class.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskConfusion {
    names: Vec<String>,
    pixels: Confusion,
    /// Sum of the per-image Dice of each class, and the number of images.
    dice_sums: Vec<f64>,
    dice_images: Vec<u64>,
    foreground_images: u64,
}

impl MaskConfusion {
    /// Empty counts for classes called `names`, in mask-value order; class 0 is the background.
    pub fn new(names: &[String]) -> Self {
        let classes = names.len();
        Self {
            names: names.to_vec(),
            pixels: Confusion::new(classes),
            dice_sums: vec![0.0; classes],
            dice_images: vec![0; classes],
            foreground_images: 0,
        }
    }

    /// Adds one batch, both `[images, height, width]` row-major. Pixels whose truth is
    /// [`mtl_task::Target::NO_PIXEL`] (255) are ignored.
    ///
    /// # Errors
    /// Slices of different lengths or not divisible into images; a class outside the range.
    pub fn add(&mut self, truth: &[u8], predicted: &[u8], images: usize) -> Result<(), Error> {
        same_length(truth.len(), predicted.len())?;
        let size = divide(truth.len(), images, "images")?;
        self.check_classes(truth, predicted)?;
        if size == 0 {
            return Ok(());
        }
        for (truth, predicted) in truth.chunks_exact(size).zip(predicted.chunks_exact(size)) {
            let mut image = Confusion::new(self.names.len());
            for (&truth, &predicted) in truth.iter().zip(predicted) {
                if truth != mtl_task::Target::NO_PIXEL {
                    image.record(usize::from(truth), usize::from(predicted));
                }
            }
            self.add_image(&image)?;
        }
        Ok(())
    }

    /// Adds the counts of another part of the data.
    ///
    /// # Errors
    /// Other classes.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.names != other.names {
            let describe = |mask: &Self| format!("classes {}", mask.names.join(", "));
            return Err(Error::Merge { left: describe(self), right: describe(other) });
        }
        self.pixels.merge(&other.pixels)?;
        self.dice_sums.iter_mut().zip(&other.dice_sums).for_each(|(mine, theirs)| *mine += theirs);
        self.dice_images.iter_mut().zip(&other.dice_images).for_each(|(mine, theirs)| *mine += theirs);
        self.foreground_images += other.foreground_images;
        Ok(())
    }

    /// The confusion matrix over pixels.
    pub fn pixels(&self) -> &Confusion {
        &self.pixels
    }

    /// Fraction of labelled pixels predicted correctly.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        self.pixels.accuracy()
    }

    /// Pooled Dice of one class.
    pub fn dice(&self, class: usize) -> Option<f64> {
        self.pixels.f1(class)
    }

    /// Pooled IoU of one class.
    pub fn iou(&self, class: usize) -> Option<f64> {
        self.pixels.iou(class)
    }

    /// Mean of the pooled IoU over the classes present in truth or prediction, background included.
    pub fn miou(&self) -> Option<f64> {
        mean_defined((0..self.names.len()).map(|class| self.iou(class)))
    }

    /// Mean Dice of one class over the images whose truth has it.
    pub fn dice_image_of(&self, class: usize) -> Option<f64> {
        let images = self.dice_images.get(class).copied().filter(|&images| images > 0)?;
        Some(self.dice_sums[class] / images as f64)
    }

    /// Mean over the foreground classes of [`MaskConfusion::dice_image_of`]; `None` if no image has foreground.
    pub fn dice_image(&self) -> Option<f64> {
        mean_defined((1..self.names.len()).map(|class| self.dice_image_of(class)))
    }

    /// `miou`, `pixel_accuracy`, `dice_image`, then `dice/CLASS` and `iou/CLASS` for every class, and
    /// `dice_image/CLASS` for several foreground classes; those that are defined.
    pub fn scores(&self) -> Vec<Score> {
        let n = self.pixels.total() as usize;
        let mut scores = vec![
            ("miou".to_owned(), self.miou(), n),
            ("pixel_accuracy".to_owned(), self.pixel_accuracy(), n),
            ("dice_image".to_owned(), self.dice_image(), self.foreground_images as usize),
        ];
        for (class, name) in self.names.iter().enumerate() {
            scores.push((format!("dice/{name}"), self.dice(class), n));
            scores.push((format!("iou/{name}"), self.iou(class), n));
            if class > 0 && self.names.len() > 2 {
                let images = self.dice_images[class] as usize;
                scores.push((format!("dice_image/{name}"), self.dice_image_of(class), images));
            }
        }
        scores.into_iter().filter_map(|(name, value, n)| Some(Score::fraction(name, value?, n))).collect()
    }

    fn add_image(&mut self, image: &Confusion) -> Result<(), Error> {
        self.pixels.merge(image)?;
        let mut foreground = false;
        for class in (1..self.names.len()).filter(|&class| image.truths(class) > 0) {
            foreground = true;
            self.dice_sums[class] += image.f1(class).unwrap_or(0.0);
            self.dice_images[class] += 1;
        }
        self.foreground_images += u64::from(foreground);
        Ok(())
    }

    fn check_classes(&self, truth: &[u8], predicted: &[u8]) -> Result<(), Error> {
        let classes = self.names.len();
        let outside = |class: u8| usize::from(class) >= classes;
        for (index, (&truth, &predicted)) in truth.iter().zip(predicted).enumerate() {
            if truth == mtl_task::Target::NO_PIXEL {
                continue;
            }
            for (what, class) in [("label", truth), ("prediction", predicted)] {
                if outside(class) {
                    return Err(Error::Class { what, index, value: i64::from(class), classes });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        ["background", "body", "wing", "tail"][..n].iter().map(|&name| name.to_owned()).collect()
    }

    // Three images of 2x2.
    const TRUTH: [u8; 12] = [0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0];
    const PREDICTED: [u8; 12] = [0, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 1];

    fn filled() -> MaskConfusion {
        let mut mask = MaskConfusion::new(&names(4));
        mask.add(&TRUTH, &PREDICTED, 3).unwrap();
        mask
    }

    fn close(value: Option<f64>, expected: f64) {
        assert!((value.unwrap() - expected).abs() < 1e-12, "{value:?} {expected}");
    }

    #[test]
    fn worked_example() {
        // scikit-learn 1.9.1 over the 12 pixels: jaccard_score(t, p, average=None) [.66666667 .5 .5],
        // average="macro" .5555555555555556; f1_score(t, p, average=None) [.8 .66666667 .66666667];
        // accuracy_score .75. `tail` is nowhere, so it is not averaged over.
        let mask = filled();
        for (class, (dice, iou)) in [(0.8, 2.0 / 3.0), (2.0 / 3.0, 0.5), (2.0 / 3.0, 0.5)].into_iter().enumerate() {
            close(mask.dice(class), dice);
            close(mask.iou(class), iou);
        }
        assert_eq!((mask.dice(3), mask.iou(3)), (None, None));
        close(mask.miou(), 0.5555555555555556);
        close(mask.pixel_accuracy(), 0.75);
        // By hand: image 1 has body only, TP 2 FP 1: 4/5. Image 2 wing only, TP 1 FN 1: 2/3. Image 3 has no
        // foreground: out, though a pixel of body was predicted on it.
        close(mask.dice_image_of(1), 0.8);
        close(mask.dice_image_of(2), 2.0 / 3.0);
        close(mask.dice_image(), (0.8 + 2.0 / 3.0) / 2.0);
        let scores = mask.scores();
        let n = |name: &str| scores.iter().find(|score| score.name == name).map(|score| score.n);
        assert_eq!(n("miou"), Some(12));
        assert_eq!(n("dice_image"), Some(2));
        assert_eq!(n("dice_image/body"), Some(1));
        assert_eq!((n("dice/tail"), n("iou/tail"), n("dice_image/tail")), (None, None, None));
    }

    #[test]
    fn ignored_pixels_and_empty_truth() {
        let mut mask = MaskConfusion::new(&names(2));
        // Predictions at 255 are ignored, even a class out of range.
        mask.add(&[255, 255, 0, 0], &[1, 9, 0, 0], 1).unwrap();
        assert_eq!((mask.pixel_accuracy(), mask.dice_image(), mask.dice(1)), (Some(1.0), None, None));
        mask.add(&[255; 4], &[0; 4], 1).unwrap();
        assert_eq!(mask.pixels().total(), 2);
        assert_eq!(
            mask.scores().iter().map(|score| score.name.as_str()).collect::<Vec<_>>(),
            ["miou", "pixel_accuracy", "dice/background", "iou/background"]
        );
        assert!(MaskConfusion::new(&names(2)).scores().is_empty());
    }

    #[test]
    fn everything_missed_is_zero_not_absent() {
        let mut mask = MaskConfusion::new(&names(2));
        mask.add(&[1, 1, 0, 0], &[0, 0, 0, 0], 1).unwrap();
        assert_eq!((mask.dice(1), mask.dice_image()), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn merging_equals_streaming() {
        let mut merged = MaskConfusion::new(&names(4));
        for pixels in [0..4, 4..12] {
            let mut part = MaskConfusion::new(&names(4));
            part.add(&TRUTH[pixels.clone()], &PREDICTED[pixels.clone()], pixels.len() / 4).unwrap();
            merged.merge(&part).unwrap();
        }
        assert_eq!(merged, filled());
        assert!(merged.merge(&MaskConfusion::new(&names(3))).is_err());
    }

    #[test]
    fn wrong_input_is_an_error_and_changes_nothing() {
        let mut mask = filled();
        assert!(mask.add(&[0; 4], &[0; 3], 1).is_err());
        assert!(mask.add(&[0; 4], &[0; 4], 3).is_err());
        assert!(mask.add(&[0; 4], &[0; 4], 0).is_err());
        assert!(matches!(mask.add(&[0, 4], &[0, 0], 1), Err(Error::Class { what: "label", index: 1, .. })));
        assert!(matches!(mask.add(&[0, 0], &[0, 255], 1), Err(Error::Class { what: "prediction", value: 255, .. })));
        assert!(mask.add(&[], &[], 0).is_ok());
        assert_eq!(mask, filled());
    }
}
