//! `cargo xtask bench`: how long a training step takes.
//!
//! The measuring itself is an example of `mtl-heads`, so that this program builds without any of the crates it times.

use anyhow::ensure;

use crate::cargo;

/// `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Timed steps of each case.
    #[arg(long, default_value_t = 15)]
    steps: u32,
}

/// Builds with `--release` and runs it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let status = cargo()
        .args(["run", "--quiet", "--release", "--package", "mtl-heads", "--example", "step_time", "--"])
        .arg(args.steps.to_string())
        .status()?;
    ensure!(status.success(), "the benchmark failed: {status}");
    Ok(())
}
