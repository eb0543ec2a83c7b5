//! `cargo xtask compare`: does balancing, or sharing at all, help? The same number of steps for single tasks, for the plain sum, for
//! fixed weights that were tuned, and for methods, each with several seeds; scores of every task on held-out images.
//!
//! Every run is `mtl train` in a process of its own. A run that is there already is not made again, so what was interrupted
//! goes on, and what was made once can be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cargo;

/// `compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of images; without, the built-in scenes.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Balancers, with settings after a colon: `upgrad`, `cagrad:c=0.4`.
    #[arg(long, value_delimiter = ',', default_value = METHODS)]
    methods: Vec<String>,
    /// Runs of each.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Steps of each run.
    #[arg(long, default_value_t = 200)]
    steps: u64,
    /// Settings of all runs, as `mtl train --set` takes them.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the runs are made.
    #[arg(long, value_name = "DIR", default_value = "target/compare")]
    runs: PathBuf,
    /// Keep what was found in this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const METHODS: &str = "uncertainty,dwa,rlw,famo,norm_scaling,pcgrad,cagrad,nash,upgrad,db_mtl";
/// The task every run has beside the labelled ones.
const RECONSTRUCTION: &str = "reconstruction";
/// By what the weight of one task at a time is multiplied to find better fixed ones.
const TRIALS: [f64; 2] = [0.33, 3.0];

/// What a run found.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// The score that decides, by task.
    scores: BTreeMap<String, f64>,
    /// Its name, and whether larger is better.
    names: BTreeMap<String, (String, bool)>,
    /// Best mean skill on validation images.
    skill: f64,
    /// Seconds a step of the joint stage.
    step_s: f64,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    settings: Vec<String>,
    runs: Vec<Found>,
}

/// Makes what runs are missing, and prints the table.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let built = cargo().args(["build", "--release", "-p", "mtl-cli"]).status()?;
    ensure!(built.success(), "mtl could not be built");
    let mut lines = vec![line(args, "plain sum", &[], args.seeds)?];
    let tasks: Vec<String> = lines[0].runs[0].scores.keys().filter(|task| *task != RECONSTRUCTION).cloned().collect();
    for task in &tasks {
        let settings = [format!("data.tasks=[\"{task}\"]"), "model.reconstruction=none".to_owned()];
        lines.push(line(args, &format!("only {task}"), &settings, args.seeds)?);
    }
    lines.push(tuned(args, &tasks, lines[0].runs[0].skill)?);
    for method in &args.methods {
        let (name, settings) = method.split_once(':').unwrap_or((method, ""));
        let mut all = vec![format!("balancer={name}")];
        all.extend(settings.split(';').filter(|text| !text.is_empty()).map(|text| format!("balancer.{name}.{text}")));
        lines.push(line(args, method, &all, args.seeds)?);
    }
    print!("{}", table(&tasks, &lines));
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&lines)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Fixed weights: each task's alone tried lower and higher with one seed, the best kept by validation images. A modest search: no
/// two weights move together.
fn tuned(args: &Args, tasks: &[String], plain: f64) -> anyhow::Result<Line> {
    let (mut best, mut settings) = (plain, Vec::new());
    for task in tasks.iter().map(String::as_str).chain([RECONSTRUCTION]) {
        for weight in TRIALS {
            let trial = vec![format!("balancer.fixed.weights.{task}={weight}")];
            let found = line(args, &format!("trial {task} {weight}"), &trial, 1)?;
            if found.runs[0].skill > best {
                (best, settings) = (found.runs[0].skill, trial);
            }
        }
    }
    let name = match settings.first().and_then(|text| text.strip_prefix("balancer.fixed.weights.")) {
        Some(weight) => format!("tuned: {weight}"),
        None => "tuned: none better".to_owned(),
    };
    line(args, &name, &settings, args.seeds)
}

fn line(args: &Args, name: &str, settings: &[String], seeds: u64) -> anyhow::Result<Line> {
    let runs = (0..seeds).map(|seed| one(args, settings, seed).with_context(|| format!("{name}, seed {seed}")));
    let line = Line { name: name.into(), settings: settings.to_vec(), runs: runs.collect::<anyhow::Result<_>>()? };
    let mean = |of: fn(&Found) -> f64| line.runs.iter().map(of).sum::<f64>() / line.runs.len() as f64;
    eprintln!("{name}: validation skill {:.3}, {:.0} ms a step", mean(|run| run.skill), 1e3 * mean(|run| run.step_s));
    Ok(line)
}

/// One run, made or found.
fn one(args: &Args, settings: &[String], seed: u64) -> anyhow::Result<Found> {
    let program = crate::root().join("target/release/mtl");
    // What it is asked for and the program that does it: another balancer of the same name is another run.
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {:?} {settings:?} {} {seed}", args.data, args.set, args.steps));
    hash.update(std::fs::read(&program)?);
    let name: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let folder = crate::root().join(&args.runs);
    let kept = folder.join(format!("{name}.json"));
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return Ok(serde_json::from_str(&text)?);
    }
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new(&program);
    command.args(["train", "--quiet", "--json", "--preset", "small", "--seed", &seed.to_string()]);
    command.args(["--steps", &args.steps.to_string()]);
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    let out = format!("output.dir={:?}", folder.display().to_string());
    let common = ["stages=[\"joint\"]".to_owned(), out, format!("output.name=compare-{seed}")];
    for setting in common.iter().chain(&args.set).chain(settings) {
        command.args(["--set", setting]);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).context("what `mtl train --json` printed")?;
    let run = PathBuf::from(result["run"].as_str().context("no run folder was named")?);
    let found = read(&run, &result)?;
    std::fs::write(kept, serde_json::to_string(&found)?)?;
    // Checkpoints of fifty runs are not what anybody keeps.
    std::fs::remove_dir_all(&run)?;
    Ok(found)
}

fn read(run: &Path, result: &Value) -> anyhow::Result<Found> {
    let (mut scores, mut names) = (BTreeMap::new(), BTreeMap::new());
    for task in result["scores"].as_array().into_iter().flatten() {
        let (name, score) = (task["task"].as_str().unwrap_or_default().to_owned(), &task["scores"][0]);
        scores.insert(name.clone(), score["value"].as_f64().context("a score without a value")?);
        let better = score["direction"].as_str().is_none_or(|direction| direction.starts_with("higher"));
        names.insert(name, (score["name"].as_str().unwrap_or_default().to_owned(), better));
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl"))?;
    let events = metrics.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let skills = events.filter(|event| event["event"] == "validation").filter_map(|event| event["skill"].as_f64());
    let log = std::fs::read_to_string(run.join("log.txt"))?;
    // "joint done after 200 steps, 12.3 s, ..."
    let told =
        log.lines().find_map(|line| line.split_once("joint done after ")).context("no joint stage in the log")?.1;
    let numbers: Vec<f64> = told.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [steps, seconds, ..] = numbers[..] else { anyhow::bail!("`{told}` tells no steps and seconds") };
    Ok(Found { scores, names, skill: skills.fold(f64::NEG_INFINITY, f64::max), step_s: seconds / steps })
}

/// Mean and standard deviation over seeds.
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, square.sqrt())
}

fn table(tasks: &[String], lines: &[Line]) -> String {
    let plain = &lines[0];
    let mut text = "| balancer |".to_owned();
    for task in tasks {
        let (name, higher) = &plain.runs[0].names[task];
        text += &format!(" {task}: {name} {} |", if *higher { "\u{2191}" } else { "\u{2193}" });
    }
    text += " mean change against single tasks | step |\n|---|";
    text += &"---|".repeat(tasks.len() + 2);
    text += "\n";
    let alone = |task: &String| {
        let line = lines.iter().find(|line| line.name == format!("only {task}"));
        line.map(|line| spread(&line.runs.iter().map(|run| run.scores[task]).collect::<Vec<_>>()).0)
    };
    let time = |line: &Line| {
        let mut times: Vec<f64> = line.runs.iter().map(|run| run.step_s).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    for line in lines {
        text += &format!("| {} |", line.name);
        let mut changes = Vec::new();
        for task in tasks {
            let values: Vec<f64> = line.runs.iter().filter_map(|run| run.scores.get(task).copied()).collect();
            if values.is_empty() {
                text += " |";
                continue;
            }
            let (mean, deviation) = spread(&values);
            text += &format!(" {mean:.3} \u{b1} {deviation:.3} |");
            if let Some(alone) = alone(task) {
                let sign = if plain.runs[0].names[task].1 { 1.0 } else { -1.0 };
                changes.push(sign * (mean - alone) / alone.abs());
            }
        }
        if changes.len() == tasks.len() {
            text += &format!(" {:+.1} % |", 100.0 * changes.iter().sum::<f64>() / changes.len() as f64);
        } else {
            text += " |";
        }
        text += &format!(" {:.2} |\n", time(line) / time(plain));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_by_hand() {
        let found = |scores: &[(&str, f64)], step_s: f64| Found {
            scores: scores.iter().map(|(task, score)| ((*task).to_owned(), *score)).collect(),
            names: scores
                .iter()
                .map(|(task, _)| ((*task).to_owned(), (format!("{task} score"), *task == "a")))
                .collect(),
            skill: 0.5,
            step_s,
        };
        let line = |name: &str, runs: Vec<Found>| Line { name: name.into(), settings: Vec::new(), runs };
        let lines = [
            line("plain sum", vec![found(&[("a", 0.7), ("b", 2.0)], 0.1), found(&[("a", 0.9), ("b", 2.0)], 0.1)]),
            line("only a", vec![found(&[("a", 1.0)], 0.05)]),
            line("only b", vec![found(&[("b", 2.5)], 0.05)]),
        ];
        let text = table(&["a".to_owned(), "b".to_owned()], &lines);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows[0],
            "| balancer | a: a score \u{2191} | b: b score \u{2193} | mean change against single tasks | step |"
        );
        // (0.8 - 1) / 1 = -20 %, (2.5 - 2) / 2.5 = +20 %
        assert_eq!(rows[2], "| plain sum | 0.800 \u{b1} 0.141 | 2.000 \u{b1} 0.000 | +0.0 % | 1.00 |");
        assert_eq!(rows[3], "| only a | 1.000 \u{b1} 0.000 | | | 0.50 |");
    }
}
