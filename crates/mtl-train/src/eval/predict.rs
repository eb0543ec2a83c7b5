//! Prediction of all tasks for image files.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use mtl_data::image::colours::class_colour;
use mtl_data::{Size, image::decode};
use mtl_metrics::Prediction;
use mtl_task::TaskKind;
use mtl_tensor::{Tensor, ops, to_f64};
use serde::Serialize;

use super::pictures::save;
use crate::data::{size_of, sources};
use crate::error::{Error, Remedy, Result};
use crate::store::LoadedRun;

/// Prediction of one task for one image.
#[derive(Clone, Debug, Serialize)]
pub struct TaskPrediction {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// Probability per class or label; for pixel tasks the share of pixels per class.
    pub probabilities: Vec<(String, f64)>,
    /// The number that a regression task predicts, in `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Unit of a task of numbers, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Class indices as a grey PNG of the image's own size; of dense tasks the values, in 16 bits.
    pub mask: Option<PathBuf>,
    /// Dense tasks: the value of the number 1 in `mask`. Depths are written as those of the training images are stored, from 1
    /// (0 means "not measured"); relative values from 0 to 1 over the range of 16 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The image with the predicted classes as a coloured overlay.
    pub overlay: Option<PathBuf>,
}

/// Predictions of all tasks for one image.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// The image file.
    pub image: PathBuf,
    /// One entry per task.
    pub tasks: Vec<TaskPrediction>,
}

/// The result of [`predict`].
#[derive(Debug)]
pub struct Predictions {
    /// One entry per image, in order; an error for a file that cannot be used.
    pub images: Vec<Result<Predicted>>,
    /// A warning for the user, if the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
    /// The write that failed; the images after it were not predicted.
    pub stopped: Option<Error>,
}

/// Predicts every task for image files; masks and overlays go to `out` (default: `RUN/predictions/images`). A file that cannot be
/// read gives an error in its entry; the others are predicted.
///
/// # Errors
/// A run that cannot be loaded. A file that cannot be written ends the predictions ([`Predictions::stopped`]).
pub fn predict(run: &Path, images: &[PathBuf], out: Option<&Path>, device: Option<&str>) -> Result<Predictions> {
    let trained = LoadedRun::load(run, device)?;
    let out = out.map_or_else(|| run.join("predictions").join("images"), Path::to_path_buf);
    let mut taken = std::collections::BTreeSet::<String>::new();
    let mut found = Vec::new();
    for path in images {
        // Images of the same name from two folders must not overwrite each other.
        let stem = path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy().into_owned());
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let stem = std::iter::once(stem.clone()).chain(numbered).find(|stem| !taken.contains(stem)).unwrap_or(stem);
        taken.insert(stem.clone());
        match predict_one(&trained, path, &out, &stem) {
            // The next image may be readable; after a failed write the next one would fail too.
            Err(error @ Error::Io { .. }) => {
                let stopped = Some(error.advise(Remedy::OtherOutput));
                return Ok(Predictions { images: found, warning: trained.warning, stopped });
            }
            one => found.push(one),
        }
    }
    Ok(Predictions { images: found, warning: trained.warning, stopped: None })
}

fn predict_one(trained: &LoadedRun, path: &Path, out: &Path, stem: &str) -> Result<Predicted> {
    let (size, channels) = (size_of(&trained.schema), trained.schema.channels);
    let (bytes, native) = decode::load(path, channels, size, trained.config.data.open.largest_value)?;
    let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
    let image = Tensor::from_vec(values, (1, channels, size.height, size.width), &trained.device)?;
    let found = trained.model.outputs(&image, trained.config.stages.joint.flip_tta)?;
    let mut tasks = Vec::new();
    for (labelled, (p, _)) in trained.model.labelled().zip(found.tasks()) {
        let task = &labelled.task;
        let mut entry = TaskPrediction {
            task: task.name.clone(),
            kind: task.kind.name(),
            probabilities: Vec::new(),
            value: None,
            unit: None,
            mask: None,
            scale: None,
            overlay: None,
        };
        let known = |unit: &str| (!unit.is_empty()).then(|| unit.to_owned());
        match &task.kind {
            TaskKind::Classification { classes } | TaskKind::MultiLabel { labels: classes } => {
                entry.probabilities = classes.iter().cloned().zip(to_f64(p)?).collect();
            }
            TaskKind::Segmentation { classes } => {
                let full = ops::upsample_bilinear(p, native.height, native.width)?;
                let Prediction::Mask(mask) = labelled.predict(&full)? else { continue };
                let share =
                    |class: usize| mask.iter().filter(|&&p| usize::from(p) == class).count() as f64 / mask.len() as f64;
                entry.probabilities =
                    classes.iter().cloned().enumerate().map(|(class, name)| (name, share(class))).collect();
                let name = |kind: &str| out.join(format!("{stem}_{}{kind}.png", task.file_name()));
                let (mask_path, overlay_path) = (name(""), name("_overlay"));
                save(&mask_path, &grey(&mask, native))?;
                save(&overlay_path, &overlay(&bytes_at_native(trained, path, native)?, channels, native, &mask))?;
                (entry.mask, entry.overlay) = (Some(mask_path), Some(overlay_path));
            }
            TaskKind::Regression { unit } => {
                let Prediction::Value(values) = labelled.predict(p)? else { continue };
                entry.value = values.first().map(|&value| f64::from(value));
                entry.unit = known(unit);
            }
            TaskKind::Dense { unit } => {
                let full = to_f64(&ops::upsample_bilinear(p, native.height, native.width)?)?;
                let (scale, least) = match unit.as_str() {
                    TaskKind::RELATIVE => (1.0 / 65_535.0, 0.0),
                    _ => (sources::depth_scale(&trained.config), 1.0),
                };
                let level = |v: f64| (v / scale).round().clamp(least, 65_535.0) as u16;
                let picture = image::ImageBuffer::from_fn(native.width as u32, native.height as u32, |x, y| {
                    Luma([level(full[y as usize * native.width + x as usize])])
                });
                let path = out.join(format!("{stem}_{}.png", task.file_name()));
                save(&path, &DynamicImage::ImageLuma16(picture))?;
                (entry.mask, entry.unit, entry.scale) = (Some(path), known(unit), Some(scale));
            }
        }
        tasks.push(entry);
    }
    Ok(Predicted { image: path.to_owned(), tasks })
}

fn grey(mask: &[u8], size: Size) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        Luma([mask[y as usize * size.width + x as usize]])
    }))
}

/// The image at its own size, as the model sees it.
fn bytes_at_native(trained: &LoadedRun, path: &Path, size: Size) -> Result<Vec<u8>> {
    Ok(decode::load(path, trained.schema.channels, size, trained.config.data.open.largest_value)?.0)
}

/// An image, every foreground class blended half with its colour.
fn overlay(bytes: &[u8], channels: usize, size: Size, mask: &[u8]) -> DynamicImage {
    let plane = size.height * size.width;
    DynamicImage::ImageRgb8(RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let at = y as usize * size.width + x as usize;
        let pixel = [0, 1, 2].map(|c| bytes[if channels == 1 { at } else { c * plane + at }]);
        match mask[at] {
            0 => Rgb(pixel),
            class => {
                let colour = class_colour(class);
                Rgb([0, 1, 2].map(|c| ((u16::from(pixel[c]) + u16::from(colour[c])) / 2) as u8))
            }
        }
    }))
}
