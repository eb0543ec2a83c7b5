//! Pictures of predictions on test images.

use std::path::{Path, PathBuf};

use mtl_data::concat::spread;
use mtl_metrics::Prediction;
use mtl_model::Model;
use mtl_task::{Target, TaskKind};
use mtl_tensor::Device;

use super::pictures::{Tile, compared, tiles, write_grid};
use crate::data::Plan;
use crate::error::Result;

/// Number of test images per picture.
const SHOWN: usize = 8;

/// `predictions/TASK.png`: image | truth | prediction for pixel tasks, images in a green (right) or red (wrong) frame for
/// class tasks; regression tasks have no picture.
pub(crate) fn write_predictions(plan: &Plan, model: &Model, run: &Path, device: &Device) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let (height, width) = (plan.schema.height, plan.schema.width);
    let flip_tta = plan.config.stages.joint.flip_tta;
    for (at, task) in plan.schema.tasks.clone().iter().enumerate() {
        // A number cannot be drawn: predictions of regression tasks are in `mtl predict`.
        if matches!(task.kind, TaskKind::Regression { .. }) {
            continue;
        }
        let labelled = |row: &&usize| plan.dataset.labels(**row)[plan.columns[at]] != mtl_data::Labels::Missing;
        let pixel_task = matches!(task.kind, TaskKind::Segmentation { .. } | TaskKind::Dense { .. });
        let shown = if pixel_task { SHOWN } else { SHOWN * SHOWN };
        let rows: Vec<usize> = plan.split.test.iter().filter(labelled).copied().collect();
        let rows: Vec<usize> = spread(&*plan.dataset, &rows).into_iter().take(shown).collect();
        if rows.is_empty() {
            continue;
        }
        let batch = plan.batch_of(&rows, device)?;
        let outputs = model.outputs(&batch.images, flip_tta)?;
        let Some((_, predicted)) = outputs.tasks().nth(at) else { continue };
        let truth = &batch.targets[at];
        let mut grid = Vec::new();
        for (row, tile) in tiles(&batch.images)?.into_iter().enumerate() {
            if let Some(pair) = compared(truth, predicted, row, height, width) {
                grid.push(tile);
                grid.extend(pair);
            } else {
                grid.push(tile.framed(if is_correct(truth, predicted, row, rows.len()) {
                    [0, 158, 115]
                } else {
                    [213, 94, 0]
                }));
            }
        }
        let columns = if pixel_task { 6 } else { SHOWN };
        let path = run.join(format!("predictions/{}.png", task.file_name()));
        write_grid(&path, &grid, columns)?;
        written.push(path);
    }
    let rows: Vec<usize> = spread(&*plan.dataset, &plan.split.test).into_iter().take(SHOWN).collect();
    if rows.is_empty() {
        return Ok(written);
    }
    let batch = plan.batch_of(&rows, device)?;
    if let Some(drawn) = model.outputs(&batch.images, false)?.images() {
        let pairs = tiles(&batch.images)?.into_iter().zip(tiles(drawn)?);
        let grid: Vec<Tile> = pairs.flat_map(|(image, drawn)| [image, drawn]).collect();
        let path = run.join("predictions/reconstruction.png");
        write_grid(&path, &grid, 8)?;
        written.push(path);
    }
    Ok(written)
}

/// Whether the prediction for a whole image is right; of several labels, all known ones.
fn is_correct(truth: &Target, predicted: &Prediction, at: usize, images: usize) -> bool {
    match (truth, predicted) {
        (Target::Class(truth), Prediction::Class(predicted)) => truth[at] == predicted[at] as i32,
        (Target::MultiLabel(truth), Prediction::MultiLabel(predicted)) => {
            let labels = truth.len() / images.max(1);
            let range = at * labels..(at + 1) * labels;
            truth[range.clone()]
                .iter()
                .zip(&predicted[range])
                .all(|(truth, &yes)| truth.is_nan() || (*truth > 0.5) == yes)
        }
        _ => false,
    }
}
