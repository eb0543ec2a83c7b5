//! `env.json`: program, machine and command of a run and of each resume.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};

use super::atomic::write_atomically;
use super::checkpoint::State;
use crate::error::{Error, Result};

static REVISION: OnceLock<&'static str> = OnceLock::new();

/// Sets the source revision of the program for `env.json` (`unknown` without this call). The program sets it instead of this
/// library, because only the last crate in the build is rebuilt after every change. Calls after the first have no effect.
pub fn built_from(revision: &'static str) {
    let _ = REVISION.set(revision);
}

/// The process that works on a run.
#[derive(Debug, Serialize)]
struct Environment {
    version: &'static str,
    git_revision: &'static str,
    cpu: String,
    cores: usize,
    threads: usize,
    os: &'static str,
    architecture: &'static str,
    command: Vec<String>,
    started_unix_s: u64,
}

impl Environment {
    fn now() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            git_revision: REVISION.get().copied().unwrap_or("unknown"),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores,
            threads: threads.filter(|n| *n > 0).unwrap_or(cores),
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            command: std::env::args().collect(),
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        }
    }
}

/// Writes `env.json` of a new run.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn began(run: &Path) -> Result<()> {
    write(run, &json!(Environment::now()))
}

/// Appends this process to the list `resumed` of a run's `env.json`, with the stage and step it continues from;
/// existing entries are kept.
///
/// # Errors
/// [`Error::Io`]; [`Error::Run`] for a file that is no longer readable, which is left unchanged.
pub(crate) fn resumed(run: &Path, from: &State) -> Result<()> {
    let path = run.join("env.json");
    let damaged = |what: String| Error::Run {
        path: path.clone(),
        problem: format!("{what}; it is left unchanged, without this resume"),
    };
    let mut all: Value = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| damaged(format!("is damaged ({error})")))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(Error::io("cannot read", path)(error)),
    };
    let mut entry = json!(Environment::now());
    entry["stage"] = json!(from.stage);
    entry["step"] = json!(from.step);
    match all.as_object_mut().map(|all| all.entry("resumed").or_insert_with(|| json!([]))) {
        Some(Value::Array(entries)) => entries.push(entry),
        _ => return Err(damaged("has no list `resumed`".into())),
    }
    write(run, &all)
}

fn write(run: &Path, value: &Value) -> Result<()> {
    let path = run.join("env.json");
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Run { path: path.clone(), problem: format!("cannot be written: {error}") })?;
    write_atomically(&path, &text)
}
