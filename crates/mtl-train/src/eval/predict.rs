//! Prediction of all tasks for image files.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use mtl_data::image::colours::class_colour;
use mtl_data::{Size, image::picture};
use mtl_metrics::Prediction;
use mtl_task::TaskKind;
use mtl_tensor::{Tensor, ops, to_f64};

use super::inputs::Inputs;
use super::pictures::save;
use super::prediction::{Predicted, TaskPrediction};
use super::prediction_table::{Format, Table};
use crate::data::{size_of, sources};
use crate::error::{Error, Remedy, Result};
use crate::store::LoadedRun;

/// Which images are predicted, and how the results are written.
#[derive(Clone, Debug, Default)]
pub struct PredictRequest {
    /// Image files, folders (with all folders below them), and patterns such as `scans/*.png`.
    pub images: Vec<PathBuf>,
    /// Folder for the table, masks and overlays, new or empty. Default: `RUN/predictions/images`, or `images-2` and so on.
    pub out: Option<PathBuf>,
    /// Format of the table.
    pub format: Format,
}

/// The result of [`predict`].
#[derive(Debug)]
pub struct Predictions {
    /// The files and paths that were to be predicted.
    pub files: Vec<PathBuf>,
    /// One entry per file; an error for one that cannot be used.
    pub images: Vec<Result<Predicted>>,
    /// How many there were; fewer are in `files` if a write failed.
    pub total: usize,
    /// The table of all predictions; `None` without any.
    pub table: Option<PathBuf>,
    /// Files that are no images, counted by reason, and files given twice: one sentence each.
    pub notes: Vec<String>,
    /// A warning for the user, if the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
    /// The write that failed; the images after it were not predicted.
    pub stopped: Option<Error>,
}

/// Predicts every task for image files and writes one table, masks and overlays. The results of an image keep its path below the
/// folder that holds all images. A file that cannot be read gives an error in its entry; the others are predicted.
///
/// # Errors
/// A run that cannot be loaded, a folder that cannot be read, a folder for results that is not empty. A file that cannot be
/// written ends the predictions ([`Predictions::stopped`]).
pub fn predict(run: &Path, request: &PredictRequest, device: Option<&str>) -> Result<Predictions> {
    let trained = LoadedRun::load(run, device)?;
    let inputs = Inputs::find(&request.images)?;
    let out = new_folder(run, request.out.as_deref())?;
    let tasks: Vec<&mtl_task::Task> = trained.model.labelled().map(|labelled| labelled.task).collect();
    let mut table = Table::new(&out, request.format, &tasks);
    let (mut files, mut found, mut stopped) = (Vec::new(), Vec::new(), None);
    let total = inputs.images.len() + inputs.failed.len();
    for input in &inputs.images {
        let one = predict_one(&trained, &input.image, &out, &input.place);
        let written = one.as_ref().map_or(Ok(()), |predicted| table.add(predicted));
        match written.and(one) {
            // The next image may be readable; after a failed write the next one would fail too.
            Err(error @ Error::Io { .. }) => {
                stopped = Some(error.advise(Remedy::OtherOutput));
                break;
            }
            one => found.push(one),
        }
        files.push(input.image.clone());
    }
    if stopped.is_none() {
        for (path, error) in inputs.failed {
            files.push(path);
            found.push(Err(error));
        }
    }
    let notes = inputs.reading.lines();
    Ok(Predictions { files, images: found, total, table: table.written(), notes, warning: trained.warning, stopped })
}

/// The folder to write to: no earlier results are written over.
fn new_folder(run: &Path, wanted: Option<&Path>) -> Result<PathBuf> {
    let is_free = |path: &Path| std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
    let Some(out) = wanted else {
        let first = run.join("predictions").join("images");
        let numbered = (2..100_000).map(|number| first.with_file_name(format!("images-{number}")));
        let free = std::iter::once(first.clone()).chain(numbered).find(|path| is_free(path));
        return free.ok_or_else(|| Error::OutputNotEmpty { path: first });
    };
    if is_free(out) { Ok(out.to_owned()) } else { Err(Error::OutputNotEmpty { path: out.to_owned() }) }
}

/// Reads an image file at the model's size: `[1, C, H, W]` in `[-1, 1]`, and the size it had.
///
/// # Errors
/// A file that cannot be read or decoded.
pub(super) fn read_image(trained: &LoadedRun, path: &Path) -> Result<(Tensor, Size)> {
    let (size, channels) = (size_of(&trained.schema), trained.schema.channels);
    let (bytes, native) = picture::load(path, channels, size, trained.config.data.open.largest_value)?;
    let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
    Ok((Tensor::from_vec(values, (1, channels, size.height, size.width), &trained.device)?, native))
}

/// Predicts every task for one image and writes its masks and overlays as `OUT/PLACE_TASK.png`.
///
/// # Errors
/// A file that cannot be read or written, predictions that are not finite.
pub(super) fn predict_one(trained: &LoadedRun, path: &Path, out: &Path, place: &Path) -> Result<Predicted> {
    let (image, native) = read_image(trained, path)?;
    let channels = trained.schema.channels;
    let found = trained.model.outputs(&image, trained.config.stages.joint.flip_tta)?;
    let stem = place.file_name().unwrap_or_default().to_string_lossy();
    let below = out.join(place.parent().unwrap_or(Path::new("")));
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
                let name = |kind: &str| below.join(format!("{stem}_{}{kind}.png", task.file_name()));
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
                entry.value = Some(full.iter().sum::<f64>() / full.len().max(1) as f64);
                let (scale, least) = match unit.as_str() {
                    TaskKind::RELATIVE => (1.0 / 65_535.0, 0.0),
                    _ => (sources::depth_scale(&trained.config), 1.0),
                };
                let level = |v: f64| (v / scale).round().clamp(least, 65_535.0) as u16;
                let picture = image::ImageBuffer::from_fn(native.width as u32, native.height as u32, |x, y| {
                    Luma([level(full[y as usize * native.width + x as usize])])
                });
                let path = below.join(format!("{stem}_{}.png", task.file_name()));
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
    Ok(picture::load(path, trained.schema.channels, size, trained.config.data.open.largest_value)?.0)
}

/// An image, every foreground class blended half with its colour.
fn overlay(bytes: &[u8], channels: usize, size: Size, mask: &[u8]) -> DynamicImage {
    let plane = size.height * size.width;
    DynamicImage::ImageRgb8(RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let at = y as usize * size.width + x as usize;
        let pixel = [0, 1, 2].map(|c: usize| bytes[c.min(channels - 1) * plane + at]);
        match mask[at] {
            0 => Rgb(pixel),
            class => {
                let colour = class_colour(class);
                Rgb([0, 1, 2].map(|c| ((u16::from(pixel[c]) + u16::from(colour[c])) / 2) as u8))
            }
        }
    }))
}
