//! Predictions as one table: `predictions.csv`, or `predictions.jsonl` with one JSON object per line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use mtl_task::{Task, TaskKind};
use serde_json::{Map, Value, json};

use super::prediction::{Predicted, TaskPrediction};
use crate::error::{Error, Result};

/// Format of the table of predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `predictions.csv`: a row per image.
    #[default]
    Csv,
    /// `predictions.jsonl`: a JSON object per line with the same keys.
    Json,
}

impl Format {
    /// Name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "predictions.csv",
            Self::Json => "predictions.jsonl",
        }
    }
}

/// The file, created with the first row.
pub(super) struct Table {
    path: PathBuf,
    format: Format,
    columns: Vec<String>,
    file: Option<BufWriter<File>>,
}

impl Table {
    pub(super) fn new(folder: &Path, format: Format, tasks: &[&Task]) -> Self {
        Self { path: folder.join(format.file_name()), format, columns: columns(tasks), file: None }
    }

    /// The file, if it has rows.
    pub(super) fn written(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| self.path.clone())
    }

    /// Adds the row of an image.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add(&mut self, predicted: &Predicted) -> Result<()> {
        let mut cells = vec![json!(predicted.image.display().to_string())];
        predicted.tasks.iter().for_each(|task| cells.extend(values(task)));
        let mut text = String::new();
        if self.file.is_none() {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
            self.file = Some(BufWriter::new(File::create(&self.path).map_err(Error::io("cannot write", &self.path))?));
            if self.format == Format::Csv {
                text += &self.line(self.columns.iter().cloned())?;
            }
        }
        text += &match self.format {
            Format::Csv => self.line(cells.iter().map(cell))?,
            Format::Json => {
                let row: Map<String, Value> = self.columns.iter().cloned().zip(cells).collect();
                Value::Object(row).to_string() + "\n"
            }
        };
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(Error::io("cannot write", &self.path))
    }

    fn line(&self, cells: impl Iterator<Item = String>) -> Result<String> {
        let failed = |error: csv::Error| Error::io("cannot write", &self.path)(std::io::Error::other(error));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(cells).map_err(failed)?;
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Names of the columns, no two alike: `image`, and for each task those of [`values`].
fn columns(tasks: &[&Task]) -> Vec<String> {
    let mut names = vec!["image".to_owned()];
    for task in tasks {
        let name = &task.name;
        let each = |between: &str| {
            task.kind.classes().iter().map(|class| format!("{name}{between}{class}")).collect::<Vec<String>>()
        };
        match &task.kind {
            TaskKind::Classification { .. } => names.extend([name.clone(), format!("{name}_probability")]),
            TaskKind::MultiLabel { .. } => names.extend(each("_")),
            TaskKind::Segmentation { .. } => {
                names.push(format!("{name}_file"));
                names.extend(each("_share_"));
            }
            TaskKind::Regression { .. } => names.push(name.clone()),
            TaskKind::Dense { .. } => names.extend([format!("{name}_file"), format!("{name}_mean")]),
        }
    }
    let mut seen = BTreeSet::new();
    let unique = |name: String| {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !seen.contains(name)).unwrap_or(name);
        seen.insert(free.clone());
        free
    };
    names.into_iter().map(unique).collect()
}

/// Class and probability; probability of each label; mask file and share of the pixels per class; map file and mean value.
fn values(task: &TaskPrediction) -> Vec<Value> {
    let file = task.mask.as_ref().map(|path| path.display().to_string());
    let numbers = task.probabilities.iter().map(|(_, value)| json!(value));
    match task.kind {
        "classification" => {
            // Of equal ones the first, as everywhere.
            let likeliest = task.probabilities.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
            likeliest.map_or_else(|| vec![Value::Null; 2], |(name, value)| vec![json!(name), json!(value)])
        }
        "multi_label" => numbers.collect(),
        "segmentation" => std::iter::once(json!(file)).chain(numbers).collect(),
        "regression" => vec![json!(task.value)],
        _ => vec![json!(file), json!(task.value)],
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn example() -> (Vec<Task>, Predicted) {
        let tasks = vec![
            Task::new("kind", TaskKind::Classification { classes: names(&["a, b", "c"]) }),
            Task::new("signs", TaskKind::MultiLabel { labels: names(&["rust", "miner"]) }),
            Task::new("mask", TaskKind::Segmentation { classes: names(&["background", "leaf"]) }),
            Task::new("depth", TaskKind::Dense { unit: "m".into() }),
            Task::new("kind_probability", TaskKind::Classification { classes: names(&["x", "y"]) }),
        ];
        let of = |task: &Task, values: &[f64]| TaskPrediction {
            task: task.name.clone(),
            kind: task.kind.name(),
            probabilities: task.kind.classes().iter().cloned().zip(values.iter().copied()).collect(),
            mask: None,
            overlay: None,
            value: None,
            unit: None,
            scale: None,
        };
        let mut predicted = vec![
            of(&tasks[0], &[0.75, 0.25]),
            of(&tasks[1], &[0.5, 0.125]),
            of(&tasks[2], &[0.9, 0.1]),
            of(&tasks[3], &[]),
            of(&tasks[4], &[0.5, 0.5]),
        ];
        predicted[2].mask = Some("out/x_mask.png".into());
        (predicted[3].mask, predicted[3].value) = (Some("out/x_depth.png".into()), Some(0.25));
        (tasks, Predicted { image: "x.png".into(), tasks: predicted })
    }

    #[test]
    fn every_kind_of_task_has_its_columns_in_both_formats() {
        let dir = tempfile::tempdir().unwrap();
        let (tasks, predicted) = example();
        let tasks: Vec<&Task> = tasks.iter().collect();
        let mut table = Table::new(dir.path(), Format::Csv, &tasks);
        assert_eq!(table.written(), None);
        table.add(&predicted).unwrap();
        table.add(&predicted).unwrap();
        let text = std::fs::read_to_string(table.written().unwrap()).unwrap();
        let row = "x.png,\"a, b\",0.75,0.5,0.125,out/x_mask.png,0.9,0.1,out/x_depth.png,0.25,x,0.5";
        let expected = [
            "image,kind,kind_probability,signs_rust,signs_miner,mask_file,mask_share_background,mask_share_leaf,depth_file,\
             depth_mean,kind_probability_2,kind_probability_probability",
            row,
            row,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let mut lines = Table::new(dir.path(), Format::Json, &tasks);
        lines.add(&predicted).unwrap();
        let text = std::fs::read_to_string(dir.path().join("predictions.jsonl")).unwrap();
        let value: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((value["kind"].as_str(), value["mask_share_leaf"].as_f64()), (Some("a, b"), Some(0.1)));
        assert_eq!(text.lines().count(), 1);
    }
}
