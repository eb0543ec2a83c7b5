//! `mtl data check`: counts, sizes and problems of a folder of images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use image::RgbImage;
use mtl_data::check;
use mtl_data::check::Report;
use mtl_data::check::sheet::{examples, sheet, sheet_with_remarks};
use mtl_train::config::load;
use mtl_train::{Judge, LabelQuality, SuspectLabel, label_quality};
use serde::Serialize;

use crate::args::{Data, Display};
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;
use crate::screen::Console;

/// Name of the contact sheet.
const SHEET: &str = "contact-sheet.png";
/// Name of the sheet of suspicious labels.
const SUSPECTS: &str = "suspicious-labels.png";

/// Prints the report; data that training would refuse are a failure, warnings are not.
pub fn run(verb: &Data, display: Display) -> Result<(), Failure> {
    let (dir, reader, set, pictures, run, as_json) = match verb {
        Data::Check { dir, reader, set, pictures, run, json } => (dir, reader, set, pictures, run, json),
        Data::Fetch(fetch) => return super::fetch::run(fetch, display),
        Data::Slices(slices) => return super::slices::run(slices),
    };
    must_exist(dir, "folder").map_err(Failure::Data)?;
    if let Some(name) = reader {
        mtl_registry::find("reader", mtl_data::READERS, name).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let set: Vec<String> = set.iter().map(|text| full_key(text)).collect::<Result<_, _>>()?;
    let config = load::load("standard", None, &set)?.data;
    let mut options = config.open;
    options.reader = reader.clone().or(options.reader);
    let console = Console::new(display);
    options.progress = console.progress();
    let (report, dataset) = check::open_and_check(dir, &options, &config.split);
    console.clear();
    if let (Some(folder), Some(dataset)) = (pictures, &dataset) {
        write(folder, SHEET, &sheet(&**dataset, &examples(&**dataset)))?;
    }
    let quality = match (run, &dataset) {
        (Some(run), Some(dataset)) => {
            let found = label_quality(run, dir, None)?;
            if let (Some(folder), false) = (pictures, found.suspects.is_empty()) {
                let row_of: BTreeMap<String, usize> =
                    (0..dataset.len()).map(|row| (dataset.row_name(row), row)).collect();
                let remark = |one: &SuspectLabel| Some((*row_of.get(&one.image)?, one.short.clone()));
                let remarks: Vec<(usize, String)> = found.suspects.iter().filter_map(remark).collect();
                write(folder, SUSPECTS, &sheet_with_remarks(&**dataset, &remarks))?;
            }
            Some(found)
        }
        _ => None,
    };
    if *as_json {
        json(&Output { report: &report, label_quality: quality.as_ref() })?;
    } else {
        out(report.to_string().trim_end())?;
        quality.as_ref().map_or(Ok(()), print)?;
    }
    match (report.refused.is_some(), report.problems()) {
        (false, _) => Ok(()),
        (true, 1) => Err(Failure::Data(format!("{} cannot be trained on", dir.display()))),
        (true, n) => Err(Failure::Data(format!("{} cannot be trained on: {n} problems", dir.display()))),
    }
}

/// The whole key of a setting. A key of `data.open` may be written without it, one of `data.split` without `data`.
fn full_key(text: &str) -> Result<String, Failure> {
    if text.starts_with("data.open.") || text.starts_with("data.split.") {
        Ok(text.to_owned())
    } else if text.starts_with("split.") {
        Ok(format!("data.{text}"))
    } else if text.starts_with("data.") {
        let key = text.split('=').next().unwrap_or_default();
        Err(Failure::Usage(format!("--set {key} has no effect on a data check: keys of data.open and data.split have")))
    } else {
        Ok(format!("data.open.{text}"))
    }
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_quality: Option<&'a LabelQuality>,
}

fn write(folder: &Path, name: &str, picture: &RgbImage) -> Result<(), Failure> {
    let path = folder.join(name);
    let fail = |error: &dyn std::fmt::Display| Failure::other(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| fail(&error))?;
    picture.save(&path).map_err(|error| fail(&error))?;
    say(format_args!("wrote {}", path.display()));
    Ok(())
}

/// Suspicious labels shown per task; `--json` has all.
const SHOWN: usize = 20;

fn print(found: &LabelQuality) -> std::io::Result<()> {
    out("")?;
    let which = if found.trained_on_known { " that it was not trained on" } else { "" };
    out(format_args!(
        "labels of {} of {} images are judged by the run's predictions{which}",
        found.judged, found.images
    ))?;
    out(format_args!(
        "labels of {} of {} images are judged by a linear probe on the run's features (5 folds)",
        found.judged_by_probe, found.images
    ))?;
    let tasks: BTreeSet<&str> = found.suspects.iter().map(|one| one.task.as_str()).collect();
    for task in tasks {
        let of_task: Vec<_> = found.suspects.iter().filter(|one| one.task == task).collect();
        out(format_args!("{task}: {} suspicious, the surest first", of_task.len()))?;
        for one in of_task.iter().take(SHOWN) {
            let judge = if one.judge == Judge::Probe { ", by the probe" } else { "" };
            out(format_args!("  {}: {}{judge}", one.image, one.words))?;
        }
        if of_task.len() > SHOWN {
            out(format_args!("  ... and {} more", of_task.len() - SHOWN))?;
        }
    }
    if found.suspects.is_empty() {
        out("no suspicious labels")?;
    }
    found.confused.iter().chain(&found.notes).try_for_each(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_effect_on_a_check_are_refused() {
        let full = |text: &str| full_key(text).map_err(|failure| format!("{failure:?}"));
        assert_eq!(full("resize_masks=true").unwrap(), "data.open.resize_masks=true");
        assert_eq!(full("data.open.channels=1").unwrap(), "data.open.channels=1");
        assert_eq!(full("split.group=site").unwrap(), "data.split.group=site");
        assert_eq!(full("data.split.test=0.3").unwrap(), "data.split.test=0.3");
        let refused = full("data.augment=none").unwrap_err();
        assert!(refused.contains("--set data.augment has no effect on a data check"), "{refused}");
    }
}
