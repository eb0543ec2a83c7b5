//! Recorded text (`tests/snapshots/*.txt`) and numbers (`tests/net/*.json`): comparison, updates, and lines on the terminal.

use std::io::Write;
use std::path::PathBuf;

/// The command that records all snapshots again; test names may follow.
pub const UPDATE: &str = "MTL_UPDATE_SNAPSHOTS=1 cargo test -p mtl-cli --test e2e";

/// For messages of failed comparisons.
pub const HOW_TO_UPDATE: &str =
    "if the change is meant, MTL_UPDATE_SNAPSHOTS=1 cargo test -p mtl-cli --test e2e records it";

/// Whether to record instead of comparing.
pub fn updating() -> bool {
    std::env::var_os("MTL_UPDATE_SNAPSHOTS").is_some_and(|value| value != "0")
}

/// Prints a line on standard error past the test harness: skipped tests must be visible.
pub fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

/// A folder of photographs next to the repository; if it is absent, a line reports that the test is skipped.
pub fn photographs(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    let found = path.canonicalize().ok();
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        say(&format!("skipped: {test}: no photographs in {}", path.display()));
    }
    found
}

/// Compares text with a snapshot, or records it.
pub fn check(name: &str, text: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/snapshots")).join(format!("{name}.txt"));
    if updating() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let recorded =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; {HOW_TO_UPDATE}", path.display()));
    if let Some(difference) = difference(&recorded, text) {
        panic!("tests/snapshots/{name}.txt: {HOW_TO_UPDATE}\n{difference}");
    }
}

/// The differing lines, between the equal ones at the start and at the end.
fn difference(recorded: &str, found: &str) -> Option<String> {
    if recorded == found {
        return None;
    }
    let (recorded, found): (Vec<&str>, Vec<&str>) = (recorded.split('\n').collect(), found.split('\n').collect());
    let start = recorded.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let most = recorded.len().min(found.len()) - start;
    let end = recorded.iter().rev().zip(found.iter().rev()).take_while(|(a, b)| a == b).take(most).count();
    let lines = |mark: char, lines: &[&str]| lines.iter().map(|line| format!("{mark} {line}\n")).collect::<String>();
    let before = lines(' ', &recorded[start.saturating_sub(3)..start]);
    let (old, new) = (&recorded[start..recorded.len() - end], &found[start..found.len() - end]);
    Some(format!("line {}:\n{before}{}{}", start + 1, lines('-', old), lines('+', new)))
}

#[test]
fn differences_are_shown_with_their_context() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n").unwrap(), "line 2:\n  a\n- b\n+ x\n+ y\n");
    assert_eq!(difference("a\na\n", "a\na\na\n").unwrap(), "line 3:\n  a\n  a\n+ a\n");
}
