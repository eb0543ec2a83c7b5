//! `mtl predict`: what a run sees in images.

use mtl_train::{Predicted, TaskPrediction};
use serde::Serialize;

use crate::args::Predict;
use crate::failure::{Failure, must_exist};
use crate::output::{json, out, say};

/// Classes that are named; the rest is in the JSON.
const SHOWN: usize = 5;

/// One image's result in the JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Good(&'a Predicted),
    Bad { image: String, error: String },
}

/// Predicts all images; broken ones are told and the others go on.
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
            Entry::Good(predicted) if !args.json => show(predicted),
            Entry::Good(_) => {}
            Entry::Bad { error, .. } => say(format_args!("skipped: {error}")),
        }
    }
    match results.iter().filter(|result| result.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::Data(format!("{n} of {} images could not be used", results.len()))),
    }
}

/// A mistyped file is told with the one that was probably meant.
fn advised(image: &std::path::Path, error: &mtl_train::Error) -> String {
    must_exist(image, "file").err().unwrap_or_else(|| error.to_string())
}

fn show(predicted: &Predicted) {
    out(predicted.image.display());
    let width = predicted.tasks.iter().map(|task| task.task.chars().count()).max().unwrap_or(0);
    for task in &predicted.tasks {
        for (index, line) in lines(task).iter().enumerate() {
            out(format_args!("  {:width$}  {line}", if index == 0 { task.task.as_str() } else { "" }));
        }
    }
}

fn lines(task: &TaskPrediction) -> Vec<String> {
    let mut lines = Vec::new();
    if !task.probabilities.is_empty() {
        let mut likely: Vec<&(String, f64)> = task.probabilities.iter().collect();
        // Labels are answered one by one and stay in their order; of classes the likeliest come first.
        if task.kind == "classification" {
            likely.sort_by(|a, b| b.1.total_cmp(&a.1));
            likely.truncate(SHOWN);
        }
        let words: Vec<String> = likely.iter().map(|(name, p)| format!("{name} {:.1} %", 100.0 * p)).collect();
        lines.push(words.join(", "));
    }
    for (what, path) in [("mask", &task.mask), ("overlay", &task.overlay)] {
        if let Some(path) = path {
            lines.push(format!("{what} {}", path.display()));
        }
    }
    lines
}
