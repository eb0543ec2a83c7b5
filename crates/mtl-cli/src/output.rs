//! Standard output and standard error, where a reader that has gone away (`mtl list | head`) is no failure.

use std::fmt::Display;
use std::io::{Error, ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;

use crate::failure::Failure;

/// Why a result did not reach standard output.
static LOST: OnceLock<Error> = OnceLock::new();

/// A line for whoever asked: tables, lists, JSON.
pub fn out(line: impl Display) {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => _ = LOST.set(error),
        _ => {}
    }
}

/// That everything handed to [`out`] was written, or was not wanted any more.
pub fn delivered() -> Result<(), Failure> {
    match LOST.get() {
        Some(error) => Err(Failure::other(format!(
            "the result cannot be written to standard output ({error}); a run keeps its own: `mtl eval RUN` shows it"
        ))),
        None => Ok(()),
    }
}

/// A line for whoever is watching: progress, warnings, errors.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A value as indented JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::other(format!("cannot be written as JSON: {error}")))?;
    out(text);
    Ok(())
}

/// How the user started this program, for commands to try next.
pub fn program() -> &'static str {
    match std::env::var("CARGO_PKG_NAME").as_deref() {
        Ok("mtl-cli") => "cargo run -p mtl-cli --",
        _ => "mtl",
    }
}

/// A path as it is typed in a shell.
pub fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(typed(Path::new("runs/busi-0001")), "runs/busi-0001");
        assert_eq!(typed(Path::new("benign (1).png")), "'benign (1).png'");
        assert_eq!(typed(Path::new("it's")), r"'it'\''s'");
    }
}
