//! Ctrl-C saves and ends with 130; the resumed run equals one that was never interrupted.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::program::{Done, Place, tiny, weights};

/// Starts a run, and waits until it trains.
fn start(place: &Place, args: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut child = place.command(tiny(args)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("joint") {
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

#[test]
fn an_interrupted_run_goes_on_bit_for_bit() {
    let place = Place::new();
    // Long enough to be interrupted, wherever that happens to be; every stage has state of its own.
    let budget = ["--steps", "80", "--set", "budget.vae_steps=10", "budget.gan_steps=10"];
    place.train(&[&budget[..], &["--name", "whole"]].concat()).well();

    let (child, lines) = start(&place, &[&budget[..], &["--name", "broken"]].concat());
    signal(&child, "INT");
    let done = finish(child, lines);
    assert_eq!(done.code, Some(130), "{}", done.err);
    assert!(done.err.contains("stopping: the run is saved first"), "{}", done.err);
    assert!(done.err.contains("mtl resume runs/broken-0001"), "{}", done.err);
    assert!(!done.err.contains("error:") && done.out.is_empty(), "{}{}", done.out, done.err);

    let done = place.run(["resume", "runs/broken-0001"]).well();
    assert!(done.err.contains("(continued)"), "{}", done.err);
    assert!(done.out.contains("try next"), "{}", done.out);
    assert_eq!(weights(&place.path("runs/whole-0001")), weights(&place.path("runs/broken-0001")));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let place = Place::new();
    let (child, mut lines) = start(&place, &["--steps", "100000"]);
    signal(&child, "TERM");
    let mut line = String::new();
    while !line.starts_with("stopping") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the first signal said nothing");
    }
    // It may have saved and gone by now; either way it ends with 130.
    let _ = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
    assert_eq!(finish(child, lines).code, Some(130));
}

#[test]
fn two_programs_do_not_share_a_run() {
    let place = Place::new();
    let (child, lines) = start(&place, &["--steps", "100000"]);
    place.refuses(1, ["resume", "runs/scenes-0001"], &["in use by process"]);
    signal(&child, "INT");
    assert_eq!(finish(child, lines).code, Some(130));
}
