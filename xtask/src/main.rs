//! Chores of this repository: `cargo xtask download | bench | goldens | tidy`.

mod bench;
mod download;
mod goldens;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Dataset download, benchmarks, goldens and checks of the house rules.")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Fetch a public data set, checked by size and SHA-256; without a name, list those there are.
    Download(download::Args),
    /// Time training steps and single operations, beside those of other frameworks.
    Bench(bench::Args),
    /// Compute the committed reference values again, with PyTorch.
    Goldens(goldens::Args),
    /// Check the rules that no compiler checks: layers, printing, unsafe, file names and lengths.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Download(args) => download::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Goldens(args) => goldens::run(&args),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// The cargo that started this program.
fn cargo() -> std::process::Command {
    let mut command = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
