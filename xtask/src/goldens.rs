//! `cargo xtask goldens`: computes the reference values with PyTorch.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// `goldens`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Python with torch, numpy, safetensors, torch-fidelity, pytorch-fid, prdc and scipy. Without it, instructions for its
    /// installation are printed.
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
}

/// Runs every program of `tests/goldens` that writes values.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dir = root().join("tests/goldens");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        // Other files are modules that these import.
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
        println!("  target/goldens/bin/pip install torch numpy safetensors torch-fidelity pytorch-fid prdc scipy \\");
        println!("    --extra-index-url https://download.pytorch.org/whl/cpu");
        println!("  cargo xtask goldens --python target/goldens/bin/python");
        println!(
            "then `git diff --stat tests/goldens` shows the changes; `cargo test` compares them with this program."
        );
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
