//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod layers;
mod sources;

use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::{cargo, root};

/// Fails with every broken rule.
pub fn run() -> anyhow::Result<()> {
    let output = cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).output()?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut problems = layers::check(&serde_json::from_slice(&output.stdout)?);
    let mut files = 0;
    for folder in ["crates", "xtask", "tests"] {
        walk(&root().join(folder), &mut |path| {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            problems.extend(sources::check(path.strip_prefix(root()).unwrap_or(path), &text));
            files += 1;
            Ok(())
        })?;
    }
    if problems.is_empty() {
        println!("tidy: {files} source files keep the rules");
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    bail!("{} house rules broken", problems.len());
}

/// Every Rust file below a folder, in order.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            visit(&path)?;
        }
    }
    Ok(())
}
