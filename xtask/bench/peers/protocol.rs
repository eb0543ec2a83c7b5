//! The protocol of `mtl-bench` for other Rust frameworks; see the documentation of `mtl-bench`.

use std::io::BufRead;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

/// One step, with its loss.
pub type Step = Box<dyn FnMut() -> anyhow::Result<f64>>;

/// Warm-up steps.
const WARM_UP: usize = 3;

/// Runs `tutorial`, the only workload: `build` gives the number of parameters and the step for a batch.
pub fn play(version: &str, build: impl FnOnce(usize) -> anyhow::Result<(usize, Step)>) -> ExitCode {
    match answer(version, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", json!({ "failed": format!("{error:#}") }));
            ExitCode::FAILURE
        }
    }
}

fn answer(version: &str, build: impl FnOnce(usize) -> anyhow::Result<(usize, Step)>) -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workload, flag, batch] = &arguments[..] else { anyhow::bail!("usage: WORKLOAD --batch N") };
    anyhow::ensure!(workload == "tutorial" && flag == "--batch", "no workload `{workload}` here");
    let (parameters, mut step) = build(batch.parse()?)?;
    let mut loss = 0.0;
    for _ in 0..WARM_UP {
        loss = step()?;
    }
    // The peak of the steps alone; where it cannot be reset, the peak of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    println!("{}", json!({ "ready": true, "parameters": parameters, "loss": loss, "flop": null, "version": version }));
    for line in std::io::stdin().lock().lines() {
        let mut seconds = Vec::new();
        for _ in 0..line?.trim().parse::<usize>()? {
            let began = Instant::now();
            step()?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        println!("{}", json!({ "seconds": seconds }));
    }
    println!("{}", json!({ "peak_kib": peak_kib() }));
    Ok(())
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}
