//! `mtl compare`: one table, runs that are not repeated, Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::program::{Done, Place, contents};
use crate::settings::TINY;

/// `compare` with the smallest networks: two tasks, one seed; 2 single tasks, equal weighting, 6 trials, tuned weights, a balancer.
fn tiny<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["compare", "--seeds", "1", "--steps", "3", "--methods", "upgrad", "--runs", "kept", "--set"];
    all.extend(TINY);
    all.push("data.tasks=['class','depth']");
    all.extend(more);
    all
}

#[test]
fn a_table_and_runs_that_are_not_repeated() {
    let place = Place::new();
    let done = place.run(tiny(&["--json", "compare.json"])).well();
    assert!(!done.out.contains(|c: char| c.is_control() && c != '\n'), "{:?}", done.out);
    for words in [
        "class: accuracy ↑",
        "depth: rmse ↓",
        "mean change against single tasks",
        "single task: depth",
        "equal weighting",
        "tuned weights: ",
        "upgrad",
        "over 1 seeds",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let tasks = "compare 11 runs; tasks: class, depth";
    assert!(done.err.contains(tasks) && done.err.contains("run     11 of 11  upgrad, seed 0: "), "{}", done.err);
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(place.path("compare.json")).unwrap()).unwrap();
    let names: Vec<&str> =
        json["table"]["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[2], names[4]), (5, "equal weighting", "upgrad"));
    assert_eq!(json["arms"][0]["runs"][0]["scores"]["class"]["name"], "accuracy");
    assert!(json["table"]["rows"][2]["mean_change"].is_f64() && json["table"]["rows"][0]["mean_change"].is_null());
    let log = std::fs::read_to_string(place.path("kept/upgrad-seed0-0001/log.txt")).unwrap();
    assert!(log.contains("stage finished"), "{log}");

    let before = contents(&place.path("kept"));
    let again = place.run(tiny(&["--markdown"])).well();
    assert_eq!(again.err.matches(", kept\n").count(), 11, "{}", again.err);
    assert!(contents(&place.path("kept")) == before, "a kept run has changed");
    assert!(again.out.starts_with("| arm | class: accuracy ↑ | depth: rmse ↓ |"), "{}", again.out);
    assert_eq!(again.out.lines().count(), 7, "{}", again.out);
}

#[test]
fn the_same_command_continues_an_interrupted_comparison() {
    let place = Place::new();
    let mut child = place.command(tiny(&[])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut err = String::new();
    while !err.contains("run     1 of 11") {
        assert!(lines.read_line(&mut err).unwrap() > 0, "it ended before its first run did: {err}");
    }
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    lines.read_to_string(&mut err).unwrap();
    let done = Done { err, ..Done::from(child.wait_with_output().unwrap()) };
    assert_eq!(done.code, Some(130), "{}", done.err);
    assert!(done.out.is_empty() && !done.err.contains("error:"), "{}{}", done.out, done.err);
    assert!(done.err.contains("interrupted after ") && done.err.contains(" of 11 runs"), "{}", done.err);
    let done = place.run(tiny(&[])).well();
    assert!(done.err.contains(", kept\n") && done.err.contains("run     11 of 11"), "{}", done.err);
}

#[test]
fn mistakes_cost_no_run() {
    let place = Place::new();
    place.refuses(2, tiny(&["balancer=dwa"]), &["error: balancer `dwa` is set for all runs", "hint:"]);
    let arm = ["compare", "--methods", "pcgrad,cagrad:c=-1"];
    place.refuses(2, arm, &["error: cagrad:c=-1: balancer: balancer.cagrad.c = -1"]);
    place.refuses(2, ["compare", "--methods", "pcgard"], &["pcgard", "did you mean `pcgrad`"]);
    place.refuses(3, ["compare", "--data", "photos"], &["photos does not exist"]);
    place.refuses(2, tiny(&["--json", "nowhere/a.json"]), &["nowhere does not exist"]);
    assert!(!place.path("runs").exists() && !place.path("kept").exists());
}
