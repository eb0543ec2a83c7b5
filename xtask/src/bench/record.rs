//! Benchmark results: statistics per side, and the machine they were measured on.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::root;

/// One run of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Day, `2026-01-31`.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores available to the sides.
    pub cores: usize,
    /// Git revision of the sources, with `+` if they were changed.
    pub revision: String,
    /// Load average over the minute before, where the system reports it.
    pub load: Option<f64>,
    /// Of each side.
    pub versions: BTreeMap<String, String>,
    /// In the order of the runs.
    pub rows: Vec<Row>,
}

/// One workload at one batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// Images per step; rows of a single operation.
    pub batch: usize,
    /// Whether it is a single operation.
    pub kernel: bool,
    /// Number of trained values, equal for all sides.
    pub parameters: u64,
    /// Floating-point operations (additions and multiplications) per step, by definition.
    pub flop: Option<f64>,
    /// Whether a peer was much slower than in its trial, twice: other programs were running, and the row is not reliable.
    pub disturbed: bool,
    /// Ours first.
    pub sides: Vec<Measured>,
}

/// One side of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `mtl`, `torch`, `candle`, `burn`.
    pub name: String,
    /// Variant, for peers with several.
    pub variant: Option<String>,
    /// Seconds per step.
    #[serde(flatten)]
    pub time: Spread,
    /// Peak resident memory during the steps.
    pub peak_kib: Option<u64>,
}

/// Seconds of many steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// 10th percentile.
    pub p10: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Number of steps.
    pub steps: usize,
}

impl Spread {
    /// Of at least one step.
    pub fn of(seconds: &[f64]) -> Option<Self> {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        // Between two steps, in proportion.
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Some(Self { median: at(0.5), p10: at(0.1), p90: at(0.9), steps: sorted.len() })
    }
}

impl Record {
    /// An empty record for this machine and day.
    pub fn here() -> Self {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self {
            date: now.split('T').next().unwrap_or_default().to_owned(),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            revision: revision().unwrap_or_else(|| "unknown".to_owned()),
            load: load(),
            versions: BTreeMap::new(),
            rows: Vec::new(),
        }
    }
}

fn cpu() -> Option<String> {
    if let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") {
        let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
        return Some(name.trim_start_matches([' ', '\t', ':']).trim().to_owned());
    }
    stdout_of(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]))
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn revision() -> Option<String> {
    let git = |args: &[&str]| stdout_of(Command::new("git").args(args).current_dir(root()));
    let revision = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = !git(&["status", "--porcelain"])?.is_empty();
    Some(revision + if changed { "+" } else { "" })
}

fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_tenths() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]).unwrap();
        assert_eq!((spread.median, spread.p10, spread.p90, spread.steps), (6.0, 2.0, 10.0, 11));
        let two = Spread::of(&[1.0, 2.0]).unwrap();
        assert_eq!((two.median, two.p10), (1.5, 1.1));
        assert_eq!(Spread::of(&[]), None);
    }
}
