//! Damaged checkpoints: the file is named and the previous checkpoint is used; without another one it is an error, never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use mtl_train::store::checkpoint::Checkpoint;

use crate::program::{Done, Place};

const FILES: [&str; 5] =
    ["model.safetensors", "average.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"];

/// A run with a checkpoint per step.
fn run(place: &Place) -> PathBuf {
    let joint = ["stages.run=['joint']", "output.checkpoint_every=1", "stages.joint.validations=1"];
    place.train(&[&["--steps", "3", "--name", "run", "--set"][..], &joint].concat()).well();
    place.path("runs/run-0001")
}

/// The target of `last`.
fn last(run: &Path) -> PathBuf {
    fs::canonicalize(run.join("checkpoints/last")).unwrap()
}

/// Checkpoint folders, without links.
fn folders(run: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| !path.is_symlink()).collect()
}

/// Checks that the command succeeded with a warning that names the file.
fn warned(done: Done, file: &str) {
    let done = done.well();
    for word in ["warning", file, "using"] {
        assert!(done.err.contains(word), "{word}: {}", done.err);
    }
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let place = Place::new();
    let folder = last(&run(&place));
    for name in FILES {
        let file = folder.join(name);
        let sound = fs::read(&file).unwrap();
        let spoilt = |what: &str, bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            let error = Checkpoint::load(&folder).expect_err(&format!("{name}: {what}")).to_string();
            // A damaged manifest that still parses blames the file that it no longer matches.
            assert!(FILES.iter().any(|file| error.contains(file)), "{name}: {what}: {error}");
            assert!(name == "MANIFEST.json" || error.contains(name), "{name}: {what}: {error}");
        };
        // Every byte of short files, one in 4 KiB of long ones, and the last.
        let stride = if sound.len() < 4096 { 1 } else { 4096 };
        for at in (0..sound.len()).step_by(stride).chain([sound.len() - 1]) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            spoilt(&format!("byte {at} changed"), &bytes);
        }
        for keep in [0, 1, sound.len() / 2, sound.len() - 1] {
            spoilt(&format!("cut to {keep} bytes"), &sound[..keep]);
        }
        if name == "MANIFEST.json" {
            let text = std::str::from_utf8(&sound).unwrap();
            for version in ["\"format_version\": 0", "\"format_version\": 2"] {
                spoilt(version, text.replace("\"format_version\": 1", version).as_bytes());
            }
        } else {
            spoilt("a byte longer", &[&sound[..], b"\n"].concat());
        }
        fs::remove_file(&file).unwrap();
        let error = Checkpoint::load(&folder).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("cannot be read"), "{error}");
        fs::write(&file, &sound).unwrap();
    }
    Checkpoint::load(&folder).unwrap();
}

#[test]
fn files_of_another_checkpoint_are_found() {
    let place = Place::new();
    let run = run(&place);
    let newest = last(&run);
    let other = folders(&run).into_iter().find(|folder| !newest.starts_with(folder)).unwrap();
    for name in ["model.safetensors", "state.json"] {
        let sound = fs::read(newest.join(name)).unwrap();
        fs::copy(other.join(name), newest.join(name)).unwrap();
        let error = Checkpoint::load(&newest).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("is damaged"), "{error}");
        fs::write(newest.join(name), sound).unwrap();
    }
}

#[test]
fn the_checkpoint_before_is_used_with_a_warning() {
    let place = Place::new();
    let run = run(&place);
    let newest = last(&run);
    let file = newest.join("model.safetensors");
    let sound = fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    bytes[sound.len() / 2] ^= 16;
    fs::write(&file, &bytes).unwrap();
    warned(place.run(["eval", "runs/run-0001"]), "model.safetensors");
    warned(place.run(["resume", "runs/run-0001"]), "model.safetensors");
    // The continued run has replaced it by a sound one.
    assert_eq!(last(&run), newest);
    assert_eq!(fs::read(&file).unwrap(), sound);
    let done = place.run(["eval", "runs/run-0001"]).well();
    assert!(!done.err.contains("warning"), "{}", done.err);
}

#[test]
fn a_missing_checkpoint_does_not_restart_the_run() {
    let place = Place::new();
    let run = run(&place);
    let newest = last(&run);
    fs::remove_dir_all(&newest).unwrap();
    let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
    warned(place.run(["eval", "runs/run-0001"]), "is gone");
    let done = place.run(["resume", "runs/run-0001"]);
    assert!(done.err.contains("(continued)"), "{}", done.err);
    warned(done, "is gone");
    let again = fs::read(run.join("metrics.jsonl")).unwrap();
    let steps = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().matches("\"event\":\"step\"").count();
    assert_eq!(steps(&again), steps(&metrics));

    // Nor does a copy of the run without its links.
    for name in ["last", "best"] {
        fs::remove_file(run.join("checkpoints").join(name)).unwrap();
    }
    warned(place.run(["resume", "runs/run-0001"]), "is missing");
}

#[test]
fn a_copy_with_folders_for_links_is_saved_to() {
    let place = Place::new();
    let run = run(&place);
    let newest = last(&run);
    let root = run.join("checkpoints");
    for name in ["last", "best"] {
        fs::remove_file(root.join(name)).unwrap();
        fs::create_dir(root.join(name)).unwrap();
        for file in FILES {
            fs::copy(newest.join(file), root.join(name).join(file)).unwrap();
        }
    }
    let (checkpoint, path, warning) = Checkpoint::load_named(&root, "last").unwrap();
    assert!(path.ends_with("last") && warning.is_none());
    checkpoint.save(&root, true, 1).unwrap();
    assert_eq!((last(&run), folders(&run)), (newest.clone(), vec![newest]));
}

#[test]
fn without_a_sound_checkpoint_the_first_problem_is_reported() {
    let place = Place::new();
    let run = run(&place);
    let newest = last(&run);
    for folder in folders(&run) {
        fs::write(folder.join("state.json"), b"{}").unwrap();
    }
    let name = newest.file_name().unwrap().to_str().unwrap().to_owned();
    for args in [&["resume", "runs/run-0001"][..], &["eval", "runs/run-0001"], &["generate", "runs/run-0001"]] {
        place.refuses(1, args, &[&name, "state.json", "is damaged: 2 bytes instead of"]);
    }
    // No file was removed.
    assert!(newest.join("model.safetensors").is_file());
}
