//! The log files of a run: `metrics.jsonl` for programs, `log.txt` for people.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use mtl_model::step::conflict::{TaskPair, summary};
use serde::Deserialize;
use serde_json::json;

use super::run_dir::RunDir;
use crate::error::{Error, Result};
use crate::event::Event;

/// The two files of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    metrics: File,
    log: File,
    /// Whether a failed write was reported.
    complained: bool,
}

impl Recorder {
    /// Opens both files and truncates `metrics.jsonl` to `keep` bytes: the rest belongs to steps that will be repeated.
    pub(crate) fn open(dir: &RunDir, keep: u64) -> Result<Self> {
        // The program's log lines go to the same `log.txt`, through a file handle of their own.
        let open = |name: &str, append: bool| {
            let path = dir.join(name);
            OpenOptions::new()
                .create(true)
                .read(true)
                .write(true)
                .append(append)
                .truncate(false)
                .open(&path)
                .map_err(Error::io("cannot write", path))
        };
        let (mut metrics, mut log) = (open("metrics.jsonl", false)?, open("log.txt", true)?);
        let cut = |file: &mut File| {
            let length = file.metadata()?.len();
            file.set_len(length.min(keep))?;
            file.seek(SeekFrom::End(0))
        };
        cut(&mut metrics).map_err(Error::io("cannot write", dir.join("metrics.jsonl")))?;
        log.seek(SeekFrom::End(0)).map_err(Error::io("cannot write", dir.join("log.txt")))?;
        Ok(Self { metrics, log, complained: false })
    }

    /// Length of `metrics.jsonl`.
    pub(crate) fn metrics_bytes(&self) -> u64 {
        self.metrics.metadata().map_or(0, |data| data.len())
    }

    /// Writes an event. A failure must not stop the run: the first one is returned as a message to show.
    pub(crate) fn write(&mut self, event: &Event) -> Option<String> {
        let (line, words) = describe(event);
        // One write per line: the program's log lines go to the same file through another handle.
        let mut result = Ok(());
        if let Some(line) = line {
            result = self.metrics.write_all(format!("{line}\n").as_bytes());
        }
        if let Some(words) = words {
            result =
                result.and(self.log.write_all(
                    format!("{} {words}\n", humantime::format_rfc3339_seconds(SystemTime::now())).as_bytes(),
                ));
        }
        match result {
            Err(error) if !self.complained => {
                self.complained = true;
                Some(format!("the run's log cannot be written ({error}); training continues without it"))
            }
            _ => None,
        }
    }
}

/// The line for programs and the line for people. In lines for programs only keys ending in `_s` depend on the clock, so that
/// two equal runs can be compared.
fn describe(event: &Event) -> (Option<serde_json::Value>, Option<String>) {
    match event {
        Event::Started { run, data, images: _, size, parameters, labels, notes, resumed } => {
            let mut words = format!(
                "{} {}: {data}, {}x{}, {parameters} parameters",
                if *resumed { "resumed" } else { "started" },
                run.display(),
                size.0,
                size.1
            );
            for count in labels {
                words += &format!(
                    "\n  {} ({}): {:?} of {:?} labelled",
                    count.task, count.kind, count.labelled, count.images
                );
            }
            for note in notes {
                words += &format!("\n  note: {note}");
            }
            (None, Some(words))
        }
        Event::StageStarted { stage, step, steps } => (None, Some(format!("{stage} from step {step} of {steps}"))),
        Event::Step { stage, step, losses, weights, updates, .. } => {
            let named = |numbers: &[(String, f64)]| numbers.iter().cloned().collect::<BTreeMap<String, f64>>();
            let lr: BTreeMap<&str, f64> = updates.iter().map(|update| (&*update.optimizer, update.lr)).collect();
            let norm: BTreeMap<&str, f64> =
                updates.iter().map(|update| (&*update.optimizer, update.grad_norm)).collect();
            let mut line = json!({ "event": "step", "stage": stage, "step": step, "losses": named(losses) });
            if !weights.is_empty() {
                line["weights"] = json!(named(weights));
            }
            line["lr"] = json!(lr);
            line["grad_norm"] = json!(norm);
            (Some(line), None)
        }
        Event::Compared(comparison) => {
            let mut line = json!(comparison);
            line["event"] = json!("gradients");
            (Some(line), None)
        }
        Event::Conflicts { pairs } => {
            let words: Vec<String> = pairs.iter().map(TaskPair::to_string).collect();
            (Some(json!({ "event": "conflicts", "pairs": pairs })), Some(words.join("\n  ")))
        }
        Event::Validated { step, skill, best, scores } => (
            Some(json!({ "event": "validation", "step": step, "skill": skill, "best": best, "scores": scores })),
            Some(format!("validation at {step}: skill {skill:.4}{}", if *best { ", the best so far" } else { "" })),
        ),
        Event::SamplesValidated { stage, step, kid, loss, best } => {
            let mut line = json!({ "event": "samples", "stage": stage, "step": step, "network": "random", "best": best, "kid": kid });
            let mut words = format!("{stage} at {step}: ");
            if let Some(loss) = loss {
                line["loss"] = json!(loss);
                words += &format!("loss {loss:.5}, ");
            }
            words += &format!("kid {:.5} on {} validation images", kid.value, kid.real);
            words += if *best { ", the best so far" } else { "" };
            (Some(line), Some(words))
        }
        Event::Saved { path } => (None, Some(format!("saved {}", path.display()))),
        Event::Picture { path } => (None, Some(format!("wrote {}", path.display()))),
        Event::StageFinished { stage, step, took, waiting } => (
            None,
            Some(format!(
                "{stage} done after {step} steps, {:.1} s, {:.1} % of it waiting for data",
                took.as_secs_f64(),
                waiting * 100.0
            )),
        ),
        Event::Note { message } => (None, Some(format!("note: {message}"))),
        Event::Warning { message } => (None, Some(format!("warning: {message}"))),
        Event::Finished(record) => (
            Some(json!({ "event": "test", "scores": record.scores, "took_s": record.seconds })),
            Some(format!("finished after {:.1} s", record.seconds)),
        ),
    }
}

/// Gradient conflicts over a run, from its `metrics.jsonl`.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn conflicts(metrics: &Path) -> Result<Vec<TaskPair>> {
    #[derive(Deserialize)]
    struct Line {
        event: String,
        #[serde(flatten)]
        rest: serde_json::Value,
    }
    let text = std::fs::read_to_string(metrics).map_err(Error::io("cannot read", metrics))?;
    let lines = text.lines().filter(|line| line.contains("\"gradients\""));
    let read = |line: &str| {
        let line: Line = serde_json::from_str(line).ok()?;
        (line.event == "gradients").then(|| serde_json::from_value(line.rest).ok())?
    };
    Ok(summary(lines.filter_map(read)))
}
