//! Log lines: levels by flag, formats, and the log of a run folder.

use crate::program::{Done, Place};
use crate::settings::JOINT;

const LIST: [&str; 2] = ["list", "presets"];

/// Levels of the program's own log lines on standard error.
fn levels(done: &Done) -> Vec<&str> {
    let own = done.err.lines().filter(|line| line.split_whitespace().nth(1) == Some("mtl:"));
    let words = own.filter_map(|line| line.split_whitespace().next());
    words.filter(|word| ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(word)).collect()
}

#[test]
fn flags_set_the_level() {
    let place = Place::new();
    let run = |flags: &[&str], variable: Option<&str>| {
        let mut command = place.command(LIST.iter().chain(flags));
        command.envs(variable.map(|value| ("RUST_LOG", value)));
        Done::from(command.output().unwrap()).well()
    };
    for (flags, variable, expected) in [
        (&[][..], None, &[][..]),
        (&["-v"], None, &["INFO"]),
        (&["-vv"], None, &["INFO", "DEBUG"]),
        (&["--verbose", "--verbose"], None, &["INFO", "DEBUG"]),
        (&["-q"], None, &[]),
        (&["-q"], Some("mtl=info"), &["INFO"]),
        (&["-vv"], Some("off"), &[]),
        (&[], Some("mtl_train=trace,mtl=debug"), &["INFO", "DEBUG"]),
    ] {
        let done = run(flags, variable);
        assert_eq!(levels(&done), expected, "{flags:?} {variable:?}: {}", done.err);
        assert!(done.out.contains("small") && !done.out.contains("INFO"), "{}", done.out);
    }
    let wrong = Done::from(place.command(LIST).env("RUST_LOG", "mtl=loud").output().unwrap());
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert!(wrong.err.contains("RUST_LOG=mtl=loud") && wrong.err.contains("TARGET=LEVEL"), "{}", wrong.err);
    place.refuses(2, ["list", "-v", "-q"], &["cannot be used with"]);
    place.refuses(2, ["list", "--log-format", "xml"], &["xml", "text, json"]);
}

#[test]
fn json_lines_are_json() {
    let place = Place::new();
    let done = place.run(["list", "presets", "-vv", "--log-format", "json"]).well();
    let lines: Vec<serde_json::Value> =
        done.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    // Libraries write lines of their own.
    let lines: Vec<_> = lines.into_iter().filter(|line| line["target"] == "mtl").collect();
    assert_eq!(lines.len(), 2, "{}", done.err);
    for (line, level) in lines.iter().zip(["INFO", "DEBUG"]) {
        assert_eq!((line["level"].as_str(), line["target"].as_str()), (Some(level), Some("mtl")), "{line}");
        assert!(line["message"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"));
}

/// Run and program write to the same file; neither may overwrite lines of the other.
#[test]
fn a_run_folder_has_the_log_of_all_its_processes() {
    let place = Place::new();
    let done = place.train(&["--steps", "2", "--name", "run", "--quiet", "--set", JOINT]).well();
    assert!(done.err.is_empty(), "{}", done.err);
    let read = || std::fs::read_to_string(place.path("runs/run-0001/log.txt")).unwrap();
    let (first, path) = (read(), "runs/run-0001");
    place.run(["resume", path, "-vv"]).well();
    let both = read();
    assert!(both.starts_with(&first), "{both}");
    let count = |text: &str, words: &str| text.matches(words).count();
    for (words, before, after) in [
        ("INFO mtl: mtl version", 1, 2),
        ("run started", 1, 2),
        ("started runs/run-0001: scenes", 1, 1),
        ("resumed runs/run-0001: scenes", 0, 1),
        ("stage started stage=\"joint\"", 1, 1),
        ("joint done after 2 steps", 1, 1),
        ("DEBUG mtl: arguments", 0, 1),
        ("finished after", 1, 2),
    ] {
        assert_eq!((count(&first, words), count(&both, words)), (before, after), "{words}: {both}");
    }
    for line in both.lines().filter(|line| !line.starts_with("  ")) {
        assert!(line.starts_with("20") && line.get(10..11) == Some("T"), "{line}");
    }
}
