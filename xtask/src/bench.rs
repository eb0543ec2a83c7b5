//! `cargo xtask bench`: how long training steps and single convolutions take.
//!
//! The measuring itself is done by examples of the crates, so that this program builds without any of the crates it times.

use anyhow::ensure;

use crate::cargo;

/// `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Timed steps of each case.
    #[arg(long, default_value_t = 15)]
    steps: u32,
    /// Of the convolutions, only those whose name contains this.
    #[arg(long, default_value = "")]
    filter: String,
}

/// Builds with `--release` and runs whole steps, then single convolutions.
pub fn run(args: &Args) -> anyhow::Result<()> {
    example("mtl-heads", "step_time", &args.steps.to_string())?;
    println!();
    example("mtl-tensor", "convolutions", &args.filter)
}

fn example(package: &str, name: &str, argument: &str) -> anyhow::Result<()> {
    let status = cargo()
        .args(["run", "--quiet", "--release", "--package", package, "--example", name, "--", argument])
        .status()?;
    ensure!(status.success(), "the benchmark `{name}` failed: {status}");
    Ok(())
}
