//! `mtl predict`: predictions of a run for image files.

use mtl_train::{Predicted, TaskPrediction};
use serde::Serialize;

use crate::args::Predict;
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;
use crate::render::table::columns;

/// Classes per image; the JSON has all.
const SHOWN: usize = 5;

/// One image's result in the JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Good(&'a Predicted),
    Bad { image: String, error: String },
}

/// Predicts all images; those that cannot be read are reported and skipped.
pub fn run(args: &Predict) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    let found = mtl_train::predict(&args.run, &args.images, args.out.as_deref(), args.device.as_deref())?;
    if let Some(warning) = &found.warning {
        say(format_args!("warning: {warning}"));
    }
    let results = found.images;
    let entries: Vec<Entry<'_>> = results
        .iter()
        .zip(&args.images)
        .map(|(result, image)| match result {
            Ok(predicted) => Entry::Good(predicted),
            Err(error) => Entry::Bad { image: image.display().to_string(), error: advised(image, error) },
        })
        .collect();
    if args.json {
        json(&entries)?;
    }
    for entry in &entries {
        match entry {
            Entry::Good(predicted) if !args.json => show(predicted)?,
            Entry::Good(_) => {}
            Entry::Bad { error, .. } => say(format_args!("skipped: {error}")),
        }
    }
    if let Some(error) = found.stopped {
        if !results.is_empty() {
            say(format_args!("{} of {} images were predicted", results.len(), args.images.len()));
        }
        return Err(error.into());
    }
    match results.iter().filter(|result| result.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::Data(format!("{n} of {} images could not be used", results.len()))),
    }
}

/// The error, or for a file that does not exist a similar name.
fn advised(image: &std::path::Path, error: &mtl_train::Error) -> String {
    must_exist(image, "file").err().unwrap_or_else(|| error.to_string())
}

fn show(predicted: &Predicted) -> std::io::Result<()> {
    out(predicted.image.display())?;
    let rows = predicted.tasks.iter().flat_map(|task| {
        let names = std::iter::once(task.task.clone()).chain(std::iter::repeat(String::new()));
        names.zip(lines(task)).map(|(name, line)| [name, line]).collect::<Vec<_>>()
    });
    columns(rows).iter().try_for_each(|line| out(format_args!("  {line}")))
}

fn lines(task: &TaskPrediction) -> Vec<String> {
    let mut lines = Vec::new();
    if !task.probabilities.is_empty() {
        let mut likely: Vec<&(String, f64)> = task.probabilities.iter().collect();
        // Yes/no labels stay in their order; of classes the likeliest come first.
        if task.kind == "classification" {
            likely.sort_by(|a, b| b.1.total_cmp(&a.1));
            likely.truncate(SHOWN);
        }
        let words: Vec<String> = likely.iter().map(|(name, p)| format!("{name} {:.1} %", 100.0 * p)).collect();
        lines.push(words.join(", "));
    }
    if let Some(value) = task.value {
        lines.push(format!("{value:.4} {}", task.unit.as_deref().unwrap_or_default()).trim_end().to_owned());
    }
    for (what, path) in [("mask", &task.mask), ("overlay", &task.overlay)] {
        if let Some(path) = path {
            lines.push(format!("{what} {}", path.display()));
        }
    }
    lines
}
