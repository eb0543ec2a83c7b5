//! A disk that is full or cannot be written to: what must be kept is told with its path, and training goes on without
//! what it can do without.
//!
//! Small file systems are mounted in a mount namespace of the test's own (`unshare`); where that is not allowed, those
//! tests say so and pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::interruption::interrupted;
use crate::program::{Done, Place, contents, tiny};

/// Saves at each step.
const SAVING: [&str; 4] = ["--set", "stages.run=['joint']", "output.checkpoint_every=1", "output.name=run"];

/// Runs a shell script in which `$mtl` is the program and `$train` its `train` with the smallest networks.
fn shell(place: &Place, before: &[&str], script: &str) -> Done {
    let words = [before, &["sh", "-c", script]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(place.path("")).env_remove("CARGO_PKG_NAME").env_remove("RUST_BACKTRACE");
    let train: Vec<&str> = tiny(&SAVING);
    command.env("mtl", env!("CARGO_BIN_EXE_mtl")).env("train", train.join(" "));
    command.output().unwrap().into()
}

/// Runs a script that may mount on `disk`; `None` where that is not allowed.
fn with_disk(place: &Place, script: &str) -> Option<Done> {
    let unshare = ["unshare", "--map-root-user", "--mount"];
    fs::create_dir_all(place.path("disk")).unwrap();
    let trial = [&unshare[1..], &["mount", "-t", "tmpfs", "none", "disk"]].concat();
    let trial = Command::new(unshare[0]).args(trial).current_dir(place.path("")).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: file systems cannot be mounted here");
        return None;
    }
    Some(shell(place, &unshare, script))
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// Bytes of the files below a folder.
fn bytes(dir: &Path) -> usize {
    contents(dir).iter().map(|(_, bytes)| bytes.len()).sum()
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_run_and_keeps_the_one_before() {
    let place = Place::new();
    interrupted(&place, &[&["--steps", "100000"], &SAVING[..]].concat());
    let checkpoints = place.path("runs/run-0001/checkpoints");
    let before = contents(&checkpoints);
    let done = shell(&place, &[], "ulimit -f 16; trap '' XFSZ; exec \"$mtl\" resume runs/run-0001");
    assert_eq!(done.code, Some(1), "{}", done.err);
    says(&done.err, &["cannot write runs/run-0001/checkpoints/joint-", "safetensors", "ulimit -f"]);
    says(&done.err, &["saved checkpoints are unchanged", "mtl resume runs/run-0001"]);
    assert_eq!(contents(&checkpoints), before);
    place.run(["eval", "runs/run-0001"]).well();
}

#[test]
fn a_full_disk_says_how_much_is_needed() {
    let place = Place::new();
    place.train(&[&["--steps", "1"], &SAVING[..]].concat()).well();
    let checkpoints = fs::read_dir(place.path("runs/run-0001/checkpoints")).unwrap();
    let one = checkpoints.map(|folder| bytes(&folder.unwrap().path())).max().unwrap();
    // Room for two of its checkpoints and the rest of a run, not for three.
    let script = format!(
        "mount -t tmpfs -o size={} none disk
        \"$mtl\" $train output.dir=disk --steps 9; echo ended $?
        find disk -name '*.tmp'
        \"$mtl\" eval disk/run-0001; echo ended $?",
        one * 27 / 10 + 65_536
    );
    let Some(done) = with_disk(&place, &script) else { return };
    let script_said = format!("{}{}", done.out, done.err);
    says(&done.err, &["cannot write disk/run-0001/checkpoints/joint-", "No space left", "it needs ", "are free"]);
    says(&done.err, &["mtl resume disk/run-0001"]);
    assert!(done.out.starts_with("ended 1\ndisk/run-0001: "), "no scores, nothing half written: {script_said}");
    assert!(done.out.ends_with("ended 0\n"), "{script_said}");

    // Without room for a single one there is nothing to go on from, which is said too.
    let script = format!("mount -t tmpfs -o size={} none disk; exec \"$mtl\" $train output.dir=disk", one / 2);
    let Some(done) = with_disk(&place, &script) else { return };
    assert_eq!(done.code, Some(1), "{}", done.err);
    says(&done.err, &["No space left", "nothing had been saved yet"]);
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let place = Place::new();
    interrupted(&place, &["--steps", "200", "--set", "stages.run=['joint']", "output.name=run"]);
    // What there is fits, and at most another page.
    let size = fs::read(place.path("runs/run-0001/metrics.jsonl")).unwrap().len();
    let script = format!(
        "mount -t tmpfs -o size={} none disk
        mv runs/run-0001/metrics.jsonl disk && ln -s \"$PWD/disk/metrics.jsonl\" runs/run-0001/metrics.jsonl
        exec \"$mtl\" resume runs/run-0001",
        (size / 4096 + 1) * 4096
    );
    let Some(done) = with_disk(&place, &script) else { return };
    let done = done.well();
    says(&done.err, &["warning", "log cannot be written", "No space left", "training continues without it", "done"]);
    assert_eq!(done.err.matches("cannot be written").count(), 1, "told once: {}", done.err);
}

#[test]
fn pictures_that_cannot_be_written_stop_nothing() {
    let place = Place::new();
    interrupted(&place, &["--steps", "40", "--set", "stages.vae.steps=2", "stages.gan.steps=2", "output.name=run"]);
    for folder in ["samples", "predictions"] {
        let folder = place.path("runs/run-0001").join(folder);
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, b"in the way").unwrap();
    }
    let done = place.run(["resume", "runs/run-0001"]).well();
    says(&done.err, &["warning", "runs/run-0001/samples", "runs/run-0001/predictions", "done"]);
    says(&done.out, &["accuracy"]);
}

#[test]
fn folders_that_cannot_be_written_to_are_told_with_a_way_out() {
    let place = Place::new();
    fs::write(place.path("file"), b"no folder").unwrap();
    let args = [&["--steps", "1"], &SAVING[..], &["output.dir=file/runs"]].concat();
    place.refuses(1, tiny(&args), &["cannot create file/runs", "Not a directory", "output.dir=DIR"]);

    place.train(&["--steps", "1", "--set", "stages.vae.steps=1", "stages.gan.steps=1", "output.name=run"]).well();
    crate::pictures::picture(true, 0).0.save(place.path("new.png")).unwrap();
    let script = "mount --bind runs disk && mount -o remount,ro,bind disk
        for words in eval resume 'predict new.png' 'generate -n 1'; do
            set -- $words; verb=$1; shift
            \"$mtl\" $verb disk/run-0001 \"$@\" 2>&1; echo \"$verb ended $?\"
        done
        \"$mtl\" generate disk/run-0001 -n 1 --out new; echo out ended $?
        \"$mtl\" $train output.dir=disk 2>&1; echo train ended $?";
    let Some(done) = with_disk(&place, script) else { return };
    says(&done.out, &["eval ended 0", "out ended 0", "Read-only file system"]);
    says(&done.out, &["cannot write disk/run-0001/lock", "resume ended 1"]);
    says(
        &done.out,
        &[
            "disk/run-0001/predictions",
            "hint: `--out DIR` chooses another folder",
            "predict ended 1",
            "generate ended 1",
        ],
    );
    says(&done.out, &["cannot create disk/run-0002", "output.dir=DIR", "train ended 1"]);
}

#[test]
fn a_result_that_is_lost_is_no_success() {
    let place = Place::new();
    let done = shell(&place, &[], "exec \"$mtl\" list > /dev/full");
    assert_eq!(done.code, Some(1), "{}", done.err);
    says(&done.err, &["error: ", "standard output", "No space left"]);
    let done = shell(&place, &[], "exec \"$mtl\" $train --steps 1 > /dev/full");
    assert_eq!(done.code, Some(1), "{}", done.err);
    says(&done.err, &["done    in", "standard output", "mtl eval"]);
    place.run(["eval", "runs/run-0001"]).well();
    // Nobody listening to progress loses nothing.
    shell(&place, &[], "exec \"$mtl\" $train --steps 1 2> /dev/full").well();
}
