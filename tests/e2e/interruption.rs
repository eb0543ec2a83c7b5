//! Ctrl-C saves and ends with 130; the resumed run equals one that was never interrupted.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::program::{Done, Place, tiny, weights};

/// Starts a run, and waits until it trains in this stage.
fn start(place: &Place, stage: &str, args: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut child = place.command(tiny(args)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(stage) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it trained");
    }
    (child, lines)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn finish(child: Child, mut lines: BufReader<ChildStderr>) -> Done {
    let mut err = String::new();
    std::io::Read::read_to_string(&mut lines, &mut err).unwrap();
    let output = child.wait_with_output().unwrap();
    Done { err, ..Done::from(output) }
}

/// A run of the joint stage, interrupted soon after its start.
pub fn interrupted(place: &Place, args: &[&str]) {
    let (child, lines) = start(place, "joint", args);
    signal(&child, "INT");
    let done = finish(child, lines);
    assert_eq!(done.code, Some(130), "{}", done.err);
}

#[test]
fn an_interrupted_run_continues_bit_for_bit() {
    let place = Place::new();
    // Long enough to be interrupted at any point.
    let budget = ["--steps", "60", "--set", "stages.vae.steps=4", "stages.gan.steps=60"];
    place.train(&[&budget[..], &["--name", "whole"]].concat()).well();
    let whole = weights(&place.path("runs/whole-0001"));

    for stage in ["joint", "gan"] {
        let (child, lines) = start(&place, stage, &[&budget[..], &["--name", stage]].concat());
        signal(&child, "INT");
        let done = finish(child, lines);
        let run = format!("runs/{stage}-0001");
        assert_eq!(done.code, Some(130), "{}", done.err);
        for words in [
            "Interrupted: saving a checkpoint".to_owned(),
            format!("interrupted at {stage} step"),
            format!("mtl resume {run}"),
        ] {
            assert!(done.err.contains(&words), "{words}: {}", done.err);
        }
        assert!(!done.err.contains("error:") && done.out.is_empty(), "{}{}", done.out, done.err);

        let done = place.run(["resume", &run]).well();
        assert!(done.err.contains("(continued)"), "{}", done.err);
        assert!(done.out.contains("try next"), "{}", done.out);
        assert_eq!(weights(&place.path(&run)), whole, "interrupted in {stage}");
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let place = Place::new();
    let (child, mut lines) = start(&place, "joint", &["--steps", "100000"]);
    signal(&child, "TERM");
    let mut line = String::new();
    while !line.starts_with("Interrupted") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the first signal printed nothing");
    }
    // It may have saved and ended already; either way the exit code is 130.
    let _ = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
    assert_eq!(finish(child, lines).code, Some(130));
}

#[test]
fn two_programs_do_not_share_a_run() {
    let place = Place::new();
    let (child, lines) = start(&place, "joint", &["--steps", "100000"]);
    place.refuses(1, ["resume", "runs/scenes-0001"], &["in use by process"]);
    signal(&child, "INT");
    assert_eq!(finish(child, lines).code, Some(130));
}
