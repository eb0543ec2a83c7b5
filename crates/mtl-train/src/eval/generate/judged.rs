//! Predictions of the run's own heads for images that its generator made.

use std::path::Path;

use super::request::{Agreement, Generated};
use crate::error::Result;
use crate::eval::pictures::{Tile, write_grid};
use crate::eval::predict::predict_one;
use crate::eval::prediction::Predicted;
use crate::eval::prediction_table::{Format, Table};
use crate::store::LoadedRun;

/// Images of the picture.
const SHOWN: usize = 32;
/// Tiles per row of the picture, about.
const COLUMNS: usize = 12;
const RIGHT: [u8; 3] = [0, 158, 115];
const WRONG: [u8; 3] = [213, 94, 0];

/// Predicts every task for the images that were made, and writes `predictions/`: the table, masks and overlays as `predict` does,
/// and a picture of the first images with their overlays. Predictions are never written as labels.
///
/// # Errors
/// Predictions that are not finite, a file that cannot be written.
pub(super) fn predict_made(run: &LoadedRun, made: &mut Generated) -> Result<()> {
    let out = made.folder.join("predictions");
    let tasks: Vec<&mtl_task::Task> = run.model.labelled().map(|labelled| labelled.task).collect();
    let condition = run.schema.condition;
    let mut table = Table::new(&out, Format::Csv, &tasks);
    let (mut agreeing, mut rows) = (0, Vec::new());
    for (at, (image, class)) in made.images.iter().zip(&made.classes).enumerate() {
        let place = image.file_stem().unwrap_or_default();
        let predicted = predict_one(run, image, &out, Path::new(place))?;
        table.add(&predicted)?;
        let found = condition.and_then(|task| likeliest(&predicted, task));
        let agrees = found.is_some() && found == class.as_deref();
        agreeing += usize::from(agrees);
        if at < SHOWN {
            let tile = Tile::read(image)?;
            rows.push(if found.is_some() { tile.framed(if agrees { RIGHT } else { WRONG }) } else { tile });
            for overlay in predicted.tasks.iter().filter_map(|task| task.overlay.as_ref()) {
                rows.push(Tile::read(overlay)?);
            }
        }
    }
    let each = rows.len() / made.images.len().clamp(1, SHOWN);
    let overlays = out.join("overlays.png");
    write_grid(&overlays, &rows, (COLUMNS / each.max(1)).max(1) * each)?;
    made.predictions = table.written();
    made.overlays = Some(overlays);
    made.agreement = condition.map(|task| Agreement {
        task: run.schema.tasks[task].name.clone(),
        agreeing,
        images: made.images.len(),
    });
    Ok(())
}

/// The class with the highest probability; of equal ones the first.
fn likeliest(predicted: &Predicted, task: usize) -> Option<&str> {
    let classes = &predicted.tasks.get(task)?.probabilities;
    classes.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name.as_str())
}
