//! `cargo xtask goldens`: reference values of PyTorch, computed by the programs beside them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// `goldens`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python with torch, numpy and safetensors; without it, how to get one is said.
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
}

/// Runs every program of `tests/goldens` that writes values.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dir = root().join("tests/goldens");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        // The others are imported by these.
        if path.extension().is_some_and(|end| end == "py")
            && std::fs::read_to_string(&path)?.contains("from recording import")
        {
            programs.push(path);
        }
    }
    programs.sort();
    let Some(python) = &args.python else {
        println!("{} programs in tests/goldens compute the reference values with PyTorch:", programs.len());
        println!("  python3 -m venv target/goldens");
        println!(
            "  target/goldens/bin/pip install torch numpy safetensors --extra-index-url https://download.pytorch.org/whl/cpu"
        );
        println!("  cargo xtask goldens --python target/goldens/bin/python");
        println!("then `git diff --stat tests/goldens` shows what changed, and `cargo test` whether it still agrees.");
        return Ok(());
    };
    for program in programs {
        println!("{}", program.display());
        let status = Command::new(python)
            .arg(&program)
            .current_dir(root())
            .status()
            .with_context(|| format!("cannot run {}", python.display()))?;
        ensure!(status.success(), "{} failed: {status}", program.display());
    }
    Ok(())
}
