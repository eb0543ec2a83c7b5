//! Counts over all images of a data set, and the sentences about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::OpenOptions;
use super::scan::ScannedRow;
use crate::image::header::Note;
use crate::image::range;
use crate::reading::Reading;

/// Counts over the images that are used.
pub(super) struct Summary {
    /// No image has a coloured pixel.
    pub grey: bool,
    images: usize,
    /// Images of more than 8 bits.
    deep: usize,
    /// Largest value of each of them.
    largest: Vec<f32>,
    /// Images with an alpha channel, and those of them in which it could be a mask.
    alpha: usize,
    plausible: usize,
    transparent: usize,
    /// Images turned by EXIF whose masks are not, and fit either way.
    turned: Vec<PathBuf>,
    notes: BTreeMap<Note, Vec<PathBuf>>,
}

/// Share of an image's pixels that must be transparent, and that must be opaque, for its alpha channel to be a mask.
const PLAUSIBLE: f64 = 0.02;

impl Default for Summary {
    fn default() -> Self {
        Self {
            grey: true,
            images: 0,
            deep: 0,
            largest: Vec::new(),
            alpha: 0,
            plausible: 0,
            transparent: 0,
            turned: Vec::new(),
            notes: BTreeMap::new(),
        }
    }
}

impl Summary {
    pub(super) fn add(&mut self, path: &Path, scanned: &ScannedRow) {
        let Some((facts, image)) = scanned.image.as_ref().zip(scanned.image()) else { return };
        self.images += 1;
        self.grey &= image.grey;
        self.deep += usize::from(image.deep);
        self.alpha += usize::from(image.alpha);
        self.transparent += usize::from(scanned.transparent());
        if image.orientation > 1 && scanned.masks().any(|(_, mask)| mask.orientation == 1) {
            self.turned.push(path.to_owned());
        }
        let Some(decoded) = &image.decoded else {
            self.plausible += usize::from(image.alpha);
            return;
        };
        let pixels = facts.size.pixels() as f64;
        let opaque = decoded.opaque as f64 / pixels.max(1.0);
        self.plausible += usize::from(image.alpha && (PLAUSIBLE..=1.0 - PLAUSIBLE).contains(&opaque));
        self.largest.extend(decoded.largest);
        decoded.notes.iter().for_each(|&note| self.notes.entry(note).or_default().push(path.to_owned()));
    }

    /// End of the range of images of more than 8 bits: that of nine in ten, so that one odd pixel does not make all others dark.
    pub(super) fn largest(&self) -> Option<f32> {
        let mut ends: Vec<f32> = self.largest.iter().copied().map(range::range_end).collect();
        ends.sort_by(f32::total_cmp);
        ends.get((ends.len() * 9).div_ceil(10).saturating_sub(1)).copied()
    }

    /// Whether alpha is a mask: every image has it, and in half of them it could be one. The decision is said.
    pub(super) fn alpha_is_mask(&self, reading: &mut Reading) -> bool {
        if self.transparent == 0 {
            return false;
        }
        let is_mask = self.alpha == self.images && 2 * self.plausible >= self.images;
        let Self { images, transparent, .. } = self;
        reading.guess(if is_mask {
            format!("all {images} images have an alpha channel: it is read as their mask (task `mask`)")
        } else {
            format!(
                "{transparent} of {images} images have transparent pixels, too few for masks: they are put on white, and \
                 alpha is not used"
            )
        });
        is_mask
    }

    /// Says what becomes of transparent pixels where the labels come from elsewhere.
    pub(super) fn say_transparent(&self, reading: &mut Reading) {
        if self.transparent > 0 {
            reading.guess(format!(
                "{} of {} images have transparent pixels: they are put on white",
                self.transparent, self.images
            ));
        }
    }

    /// Says how images are treated that are not plain ones of 8 bits.
    pub(super) fn say(&self, largest: Option<f32>, options: &OpenOptions, reading: &mut Reading) {
        let Self { images, deep, .. } = self;
        if let (1.., Some(end)) = (*deep, largest) {
            let highest = self.largest.iter().copied().reduce(f32::max);
            let by = match (options.largest_value, highest) {
                (None, Some(value)) => format!("the largest value of all is {value}"),
                _ => "data.open.largest_value".into(),
            };
            reading.guess(format!(
                "{deep} of {images} images have more than 8 bits: their values are divided by {end} ({by})"
            ));
            if deep < images {
                reading.warn(format!(
                    "{} images of 8 bits are mixed with {deep} of more: their brightness may differ",
                    images - deep
                ));
            }
            let above = self.largest.iter().filter(|&&value| value > end).count();
            if above > 0 {
                reading.warn(format!(
                    "{above} of {deep} images of more than 8 bits hold values above {end}, which are cut to it: \
                     data.open.largest_value sets another end"
                ));
            }
        } else if *deep > 0 {
            reading.warn(format!(
                "{deep} of {images} images have more than 8 bits; their range is not looked for without data.open.verify: values \
                 are divided by 65535, or by data.open.largest_value"
            ));
        }
        if let (Some(first), false) = (self.turned.first(), options.masks_as_stored) {
            reading.guess(format!(
                "{} images are turned by EXIF and their masks are not, such as {}: the masks are taken as drawn on the upright \
                 image (data.open.masks_as_stored = true turns them)",
                self.turned.len(),
                first.display()
            ));
        }
        for (note, paths) in &self.notes {
            let what = match note {
                Note::FirstOfSeveral => "hold several images or frames: the first is used",
                Note::NoEndMarker => "lack the end marker of a JPEG, but all their pixels are there: they are used",
                Note::FurtherChannel => {
                    "have a further channel that is not declared as alpha: it is not used (data.open.channels reads all)"
                }
                Note::Window => "are DICOM with a window: its center and width set black and white",
                Note::Cmyk => "are CMYK: they are converted to RGB without a colour profile",
            };
            let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
            reading.guess(format!("{} images {what}, such as {first}", paths.len()));
        }
    }
}
