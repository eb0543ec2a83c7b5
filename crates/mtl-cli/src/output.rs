//! Standard output and standard error. A closed pipe (`mtl list | head`) is not an error.

use std::fmt::Display;
use std::io::{ErrorKind, Result, Write};

use serde::Serialize;

/// Writes a line of the result to standard output.
///
/// # Errors
/// Standard output cannot be written to, except where its reader has closed it.
pub fn out(line: impl Display) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a value to standard output as indented JSON.
///
/// # Errors
/// As [`out`]; a value that has no JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    out(serde_json::to_string_pretty(value)?)
}

/// Writes a line to standard error: progress, warnings, errors. If that fails, nothing else could show it.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The command that started this program, for suggested commands.
pub fn program() -> &'static str {
    match std::env::var("CARGO_PKG_NAME").as_deref() {
        Ok("mtl-cli") => "cargo run -p mtl-cli --",
        _ => "mtl",
    }
}
