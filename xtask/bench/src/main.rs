//! mtl's side of `cargo xtask bench`: runs steps of one workload on request.
//!
//! `mtl-bench --list` prints the workloads as JSON. `mtl-bench WORKLOAD [--batch N]` builds one, runs three warm-up
//! steps, and prints a line `{"ready": true, ...}`. For each input line with a number it then prints a line with the seconds
//! of that many steps, and at the end of the input a line with the peak resident memory. Between requests it uses no
//! processor time, so that several sides can take turns on one machine. The variable `MTL_BENCH_DEVICE` names the device (as
//! `mtl --device`, default `cpu`); a step includes the wait for it. A side that cannot run the workload prints
//! `{"failed": "REASON"}`.

// The same allocator as in `mtl`, so that the timings hold for its users.
mod balance;
mod generation;
mod generators;
mod inference;
mod inputs;
mod joint;
mod kernels;
mod memory;
#[path = "../../../crates/mtl-cli/src/process.rs"]
mod process;
mod reading;
mod registry;
mod tutorial;
mod workload;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use workload::Workload;

/// Warm-up steps: they allocate memory, start threads and fill caches.
const WARM_UP: usize = 3;

#[derive(Debug, Parser)]
#[command(name = "mtl-bench", about = "mtl's side of `cargo xtask bench`: runs steps of one workload on request.")]
struct Args {
    /// The workload.
    #[arg(required_unless_present = "list")]
    workload: Option<String>,
    /// Images or rows per step. Default: the workload's first.
    #[arg(long)]
    batch: Option<usize>,
    /// Print all workloads.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    process::prepare();
    let args = Args::parse();
    match process::on_a_worker(|| if args.list { list() } else { play(&args) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader may have ended.
            let _ = writeln!(std::io::stdout(), "{}", json!({ "failed": format!("{error:#}") }));
            ExitCode::FAILURE
        }
    }
}

fn list() -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&registry::workloads())?)?)
}

fn play(args: &Args) -> anyhow::Result<()> {
    let name = args.workload.as_deref().unwrap_or_default();
    let workloads = registry::workloads();
    let workload = workloads.iter().find(|workload| workload.name == name);
    let Workload { batches, flop, build, .. } =
        workload.with_context(|| format!("no workload `{name}`; `--list` prints all"))?;
    let batch = args.batch.or(batches.first().copied()).unwrap_or(1);
    let mut job = build(batch)?;
    let mut loss = None;
    for _ in 0..WARM_UP {
        loss = job.step()?;
    }
    memory::forget_peak();
    let mut out = std::io::stdout().lock();
    let version = concat!("mtl ", env!("CARGO_PKG_VERSION"));
    let ready = json!({
        "ready": true, "parameters": job.parameters(), "loss": loss, "flop": flop(batch), "version": version,
    });
    writeln!(out, "{ready}")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let steps: usize = line.trim().parse().with_context(|| format!("`{line}` is not a number of steps"))?;
        let mut seconds = Vec::with_capacity(steps);
        for _ in 0..steps {
            let began = Instant::now();
            job.step()?;
            // Operations on a card are asynchronous: wait for them before the clock is read.
            inputs::device().synchronize()?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        writeln!(out, "{}", json!({ "seconds": seconds }))?;
    }
    writeln!(out, "{}", json!({ "peak_kib": memory::peak_kib() }))?;
    Ok(())
}
