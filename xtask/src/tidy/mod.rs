//! `cargo xtask tidy`: style rules that no compiler checks.

mod circles;
mod layers;
mod sources;

use std::path::{Path, PathBuf};

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
    for sources in crates()? {
        let mut modules = Vec::new();
        walk(&sources, &mut |path| {
            let file = path.strip_prefix(&sources).unwrap_or(path).to_string_lossy().replace('\\', "/");
            let module_path = circles::module_path(&file);
            if file != "build.rs" && !file.ends_with("tests.rs") {
                modules.push(circles::Module { path: module_path, text: std::fs::read_to_string(path)? });
            }
            Ok(())
        })?;
        let name = sources.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        problems.extend(circles::check(&name, &modules));
    }
    if problems.is_empty() {
        println!("tidy: {files} source files, no rule broken");
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    bail!("{} style rules broken", problems.len());
}

/// The `src` folders of all crates, in order.
fn crates() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![root().join("xtask/src"), root().join("xtask/bench/src")];
    for entry in std::fs::read_dir(root().join("crates"))? {
        found.push(entry?.path().join("src"));
    }
    found.sort();
    Ok(found)
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
