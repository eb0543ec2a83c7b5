//! `mtl predict`: predictions of a run for image files.

use std::path::{Path, PathBuf};

use mtl_train::{Error, Format, PredictRequest, Predicted, TaskPrediction};
use serde::Serialize;

use crate::args::{Predict, TableFormat};
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::{must_exist, quoted};
use crate::render::table::columns;

/// Classes per image; the JSON has all.
const SHOWN: usize = 5;
/// Images, and errors, that are shown; the others are counted.
const SHOWN_IMAGES: usize = 20;

/// One image's result in the JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Good(&'a Predicted),
    Bad { image: String, error: String },
}

/// Predicts all images; those that cannot be read are reported and skipped.
pub fn run(args: &Predict) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(|message| Failure::Usage(with_quotes(args).unwrap_or(message)))?;
    let format = match args.format {
        TableFormat::Csv => Format::Csv,
        TableFormat::Json => Format::Json,
    };
    let request = PredictRequest { images: args.images.clone(), out: args.out.clone(), format };
    let found = mtl_train::predict(&args.run, &request, args.device.as_deref())?;
    found.notes.iter().for_each(|note| say(format_args!("note: {note}")));
    if let Some(warning) = &found.warning {
        say(format_args!("warning: {warning}"));
    }
    let results = found.images;
    let entries: Vec<Entry<'_>> = results
        .iter()
        .zip(&found.files)
        .map(|(result, image)| match result {
            Ok(predicted) => Entry::Good(predicted),
            Err(error) => Entry::Bad { image: image.display().to_string(), error: advised(image, error) },
        })
        .collect();
    if args.json {
        json(&entries)?;
    }
    let (mut shown, mut skipped) = (0, 0);
    for entry in &entries {
        match entry {
            Entry::Good(predicted) => {
                shown += 1;
                if !args.json && shown <= SHOWN_IMAGES {
                    show(predicted)?;
                }
            }
            Entry::Bad { error, .. } => {
                skipped += 1;
                if skipped <= SHOWN_IMAGES {
                    say(format_args!("skipped: {error}"));
                }
            }
        }
    }
    if skipped > SHOWN_IMAGES {
        say(format_args!("skipped: {} more", skipped - SHOWN_IMAGES));
    }
    if let Some(table) = found.table.filter(|_| !args.json) {
        let more = shown.saturating_sub(SHOWN_IMAGES);
        let more = if more > 0 { format!(" ({more} more)") } else { String::new() };
        out(format_args!("table  {}{more}", table.display()))?;
    }
    if let Some(error) = found.stopped {
        if !results.is_empty() {
            say(format_args!("{} of {} images were predicted", results.len(), found.total));
        }
        return Err(error.into());
    }
    match skipped {
        0 if results.is_empty() => {
            Err(Failure::Data("0 images were found: give image files, folders or patterns".into()))
        }
        0 => Ok(()),
        n => Err(Failure::Data(format!("{n} of {} images could not be used", results.len()))),
    }
}

/// The error, or for a file that does not exist a similar name.
fn advised(image: &Path, error: &Error) -> String {
    match error {
        Error::NoImage { reason, .. } if reason == "no such file" => must_exist(image, "file").err(),
        _ => None,
    }
    .unwrap_or_else(|| error.to_string())
}

/// The message for a run whose path was given without quotes: with the words after it, it exists.
fn with_quotes(args: &Predict) -> Option<String> {
    let mut words = args.run.to_str()?.to_owned();
    for next in &args.images {
        words = format!("{words} {}", next.to_str()?);
        let path = PathBuf::from(&words);
        if path.exists() {
            let start = args.run.display();
            return Some(format!(
                "run folder {start} does not exist; put quotes around a name with spaces: {}",
                quoted(&path)
            ));
        }
    }
    None
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
