//! `cargo xtask bench`: training steps and single operations of mtl and of other frameworks, in turns on one machine.
//!
//! Every side is a process that runs steps of one workload on request ([`side`]): ours is the package `mtl-bench`, the
//! others are in `xtask/bench/peers`. In each round every side takes a turn of about half a second, so that other load on
//! the machine affects all of them. Results are printed, and can be saved ([`record`], [`table`]).

mod record;
mod side;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{cargo, root};
use record::{Measured, Record, Row, Spread};
use side::Side;

/// `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Python with torch and numpy to compare with. Without it, instructions for its installation are printed.
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,
    /// Rust frameworks to compare with: candle, burn. They are built first.
    #[arg(long, value_delimiter = ',', value_parser = ["candle", "burn"])]
    against: Vec<String>,
    /// Only workloads whose name contains one of these; a full name selects that workload alone.
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Variants of PyTorch to try. Default: all. The fastest in a short trial is measured.
    #[arg(long, value_delimiter = ',', value_parser = VARIANTS)]
    variant: Vec<String>,
    /// Turns per side.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds per turn.
    #[arg(long, default_value_t = 0.5)]
    turn: f64,
    /// Save the results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure nothing; print the results in this file as a Markdown table.
    #[arg(long, value_name = "FILE", exclusive = true)]
    table: Option<PathBuf>,
}

/// Variants of PyTorch: eager and compiled, channels first and last.
const VARIANTS: [&str; 4] = ["eager", "eager-cl", "compile", "compile-cl"];
/// Variants for single operations: a compiler has nothing to fuse.
const EAGER: [&str; 2] = ["eager", "eager-cl"];

/// A workload in the output of `mtl-bench --list`.
#[derive(Debug, Deserialize)]
struct Workload {
    name: String,
    about: String,
    batches: Vec<usize>,
    kernel: bool,
    case: Value,
    peers: Vec<String>,
}

/// Measures, or prints saved results.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(file) = &args.table {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        print!("{}", table::markdown(&serde_json::from_str(&text)?));
        return Ok(());
    }
    let ours = build(&["--package", "mtl-bench"])?;
    let mut built = Vec::new();
    for name in &args.against {
        let manifest = root().join("xtask/bench/peers").join(name).join("Cargo.toml");
        let folder = root().join("target/peers").join(name);
        let place = [manifest.as_os_str(), folder.as_os_str()].map(|path| path.to_string_lossy().into_owned());
        built.push((name.as_str(), build(&["--manifest-path", &place[0], "--target-dir", &place[1]])?));
    }
    let listed = Command::new(&ours).arg("--list").output()?;
    ensure!(listed.status.success(), "mtl-bench --list failed: {}", listed.status);
    let all: Vec<Workload> = serde_json::from_slice(&listed.stdout)?;
    let chosen: Vec<&Workload> = all.iter().filter(|workload| wanted(workload, &args.filter, &all)).collect();
    ensure!(!chosen.is_empty(), "no workload matches {}", args.filter.join(" or "));
    if args.peer.is_none() {
        println!("Measuring mtl only. To compare with PyTorch:");
        println!("  python3 -m venv target/peer");
        println!("  target/peer/bin/pip install torch numpy");
        println!("  cargo xtask bench --peer target/peer/bin/python\n");
    }
    let mut record = Record::here();
    if let Some(load) = record.load.filter(|load| *load > 0.3) {
        println!("Other programs are running (load average {load}): the results are not reliable.\n");
    }
    let mut failed = 0;
    for (workload, batch) in chosen.iter().flat_map(|one| one.batches.iter().map(move |&batch| (*one, batch))) {
        match compare(args, &ours, &built, workload, batch, &mut record) {
            Ok(row) => {
                println!("{}", table::lines(&row));
                record.rows.push(row);
            }
            Err(error) => {
                println!("{}, batch {batch}: {error:#}", workload.name);
                failed += 1;
            }
        }
        if let Some(file) = &args.json {
            // Saved after each row, so that an interrupted run keeps its results.
            std::fs::write(file, serde_json::to_string_pretty(&record)? + "\n")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    ensure!(failed == 0, "{failed} workloads could not be measured");
    Ok(())
}

fn wanted(workload: &Workload, filter: &[String], all: &[Workload]) -> bool {
    let is_name = |text: &String| all.iter().any(|other| other.name == *text);
    filter.is_empty()
        || filter.iter().any(
            |text| {
                if is_name(text) { workload.name == *text } else { workload.name.contains(text.as_str()) }
            },
        )
}

/// Runs all sides of one workload in turns.
fn compare(
    args: &Args,
    ours: &Path,
    built: &[(&str, PathBuf)],
    workload: &Workload,
    batch: usize,
    record: &mut Record,
) -> anyhow::Result<Row> {
    let play = |program: &Path| {
        let mut command = Command::new(program);
        command.arg(&workload.name).args(["--batch", &batch.to_string()]);
        command
    };
    let mut sides = vec![Entered::new("mtl", None, Side::start(play(ours))?)];
    let plays = |name: &str| workload.peers.iter().any(|peer| peer == name);
    if let Some(python) = args.peer.as_ref().filter(|_| plays("torch")) {
        sides.push(fastest(args, workload, |variant| {
            let mut command = Command::new(python);
            command.arg(root().join("xtask/bench/peers/torch/peer.py")).arg(&workload.name);
            command.args(["--batch", &batch.to_string(), "--variant", variant]);
            command.arg("--case").arg(workload.case.to_string());
            command
        })?);
    }
    for name in PROGRAMS.into_iter().filter(|name| plays(name)) {
        let Some(python) = &args.peer else { break };
        let mut command = Command::new(python);
        command.arg(root().join("xtask/bench/peers").join(name).join("peer.py")).arg(&workload.name);
        command.args(["--batch", &batch.to_string(), "--case", &workload.case.to_string()]);
        sides.push(Entered::new(name, None, Side::start(command).context(name)?));
    }
    // Another workload of ours is a peer too: the cost of a method relative to the plain sum.
    for other in workload.peers.iter().filter(|peer| peer.contains('/')) {
        let mut command = Command::new(ours);
        command.arg(other).args(["--batch", &batch.to_string()]);
        sides.push(Entered::new(other, None, Side::start(command).with_context(|| other.clone())?));
    }
    for (name, program) in built.iter().filter(|(name, _)| plays(name)) {
        sides.push(Entered::new(name, None, Side::start(play(program)).with_context(|| (*name).to_owned())?));
    }
    let parameters = sides[0].side.ready.parameters;
    for entered in &sides[1..] {
        let theirs = entered.side.ready.parameters;
        ensure!(
            theirs == parameters || entered.name.contains('/'),
            "{} has {theirs} parameters and ours {parameters}: these are different networks",
            entered.name
        );
    }
    for entered in &mut sides {
        entered.settle(args.turn)?;
    }
    take_turns(args, &mut sides)?;
    let mut disturbed = sides.iter().any(Entered::is_disturbed);
    if disturbed {
        // OpenMP barriers spin: under other load, short parallel regions take many times as long.
        println!("  a side is much slower than in its trial; measuring again");
        take_turns(args, &mut sides)?;
        disturbed = sides.iter().any(Entered::is_disturbed);
    }
    let flop = sides[0].side.ready.flop;
    let mut measured = Vec::new();
    for entered in sides {
        record.versions.insert(entered.name.clone(), entered.side.ready.version.clone());
        measured.push(entered.finish()?);
    }
    let (workload, kernel) = (workload.name.clone(), workload.kernel);
    Ok(Row { workload, batch, kernel, parameters, flop, disturbed, sides: measured })
}

/// Runs all rounds; earlier timings are discarded.
fn take_turns(args: &Args, sides: &mut [Entered]) -> anyhow::Result<()> {
    for entered in &mut *sides {
        entered.seconds.clear();
    }
    for _ in 0..args.rounds.max(1) {
        for entered in &mut *sides {
            let seconds = entered.side.steps(entered.turn)?;
            entered.seconds.extend(seconds);
        }
    }
    Ok(())
}

/// A side and its timings so far.
struct Entered {
    name: String,
    variant: Option<String>,
    side: Side,
    /// Steps per turn.
    turn: usize,
    seconds: Vec<f64>,
    /// Seconds per step in a trial.
    trial: Option<f64>,
}

/// Peers in Python without variants, each a program `peers/NAME/peer.py`.
const PROGRAMS: [&str; 2] = ["pillow", "fidelity"];

/// Largest ratio of a side's time to its time in the trial.
const DISTURBED: f64 = 1.5;

impl Entered {
    fn new(name: &str, variant: Option<&str>, side: Side) -> Self {
        let variant = variant.map(str::to_owned);
        Self { name: name.into(), variant, side, turn: 1, seconds: Vec::new(), trial: None }
    }

    fn is_disturbed(&self) -> bool {
        let found = Spread::of(&self.seconds).map(|spread| spread.median);
        found.zip(self.trial).is_some_and(|(found, trial)| found > DISTURBED * trial)
    }

    /// Sets the steps per turn for turns of about this length.
    fn settle(&mut self, seconds: f64) -> anyhow::Result<()> {
        let mut step = self.side.steps(1)?[0];
        if step < seconds / 10.0 {
            // The first step after a pause is too slow to represent short ones.
            step = Spread::of(&self.side.steps(9)?).map_or(step, |spread| spread.median);
        }
        self.turn = ((seconds / step.max(1e-7)).round() as usize).clamp(1, 5000);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Measured> {
        let time = Spread::of(&self.seconds).context("nothing was timed")?;
        Ok(Measured { name: self.name, variant: self.variant, time, peak_kib: self.side.finish()? })
    }
}

/// The fastest variant of PyTorch in a short trial. Variants that cannot run (no compiler) are reported and skipped.
fn fastest(args: &Args, workload: &Workload, play: impl Fn(&str) -> Command) -> anyhow::Result<Entered> {
    let all: &[&str] = if workload.kernel { &EAGER } else { &VARIANTS };
    let (mut best, mut tried): (Option<Entered>, Vec<String>) = (None, Vec::new());
    for variant in all.iter().filter(|name| args.variant.is_empty() || args.variant.iter().any(|one| one == *name)) {
        let side = match Side::start(play(variant)) {
            Ok(side) => side,
            Err(error) => {
                println!("  torch {variant} is skipped: {error:#}");
                continue;
            }
        };
        let mut entered = Entered::new("torch", Some(variant), side);
        entered.settle(args.turn)?;
        let trial = Spread::of(&entered.side.steps(entered.turn.max(3))?).context("nothing was timed")?;
        tried.push(format!("{variant} {}", table::milliseconds(trial.p10)));
        // The 10th percentile instead of the median: a trial is short, and disturbances only slow it down.
        entered.trial = Some(trial.p10);
        if best.as_ref().and_then(|best| best.trial).is_none_or(|fastest| trial.p10 < fastest) {
            best = Some(entered);
        }
    }
    match best {
        Some(entered) => {
            println!("  trial of torch, ms: {}", tried.join(", "));
            Ok(entered)
        }
        None => bail!("torch cannot run `{}` ({}) in any variant", workload.name, workload.about),
    }
}

/// Builds a program with `--release` and returns its path.
fn build(what: &[&str]) -> anyhow::Result<PathBuf> {
    let output = cargo()
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(what)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "`cargo build {}` failed: {}", what.join(" "), output.status);
    let artifacts = String::from_utf8_lossy(&output.stdout);
    let mut programs = artifacts.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    programs.next_back().with_context(|| format!("`cargo build {}` produced no program", what.join(" ")))
}
