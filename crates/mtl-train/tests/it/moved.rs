//! Data that was moved or renamed: recognised by its content.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_train::{Error, ErrorKind, evaluate, resume, resume_moved, train};

use crate::other_data::class_folder;
use crate::{StopAt, hash, metrics, tiny, trained};

const JOINT: &str = "stages.run=[\"joint\"]";

fn photos(root: &Path) {
    for (class, colour) in [("cat", [30, 200, 30]), ("dog", [30, 30, 200])] {
        class_folder(root, class, colour, 0, 16);
    }
}

fn path_of(folder: &Path) -> String {
    format!("data.path=\"{}\"", folder.display())
}

/// A run stopped after its second step.
fn stopped(dir: &Path, more: &[&str]) -> PathBuf {
    let flag = AtomicBool::new(false);
    let mut stop = StopAt { stage: "joint", step: 2, flag: &flag };
    let error = train(tiny(dir, more), &mut [&mut stop], &flag).unwrap_err();
    let Error::Interrupted { run, .. } = error else { panic!("{error}") };
    run
}

fn resumed(run: &Path, data: &[PathBuf]) -> mtl_train::Result<PathBuf> {
    resume_moved(run, data, &mut [], &AtomicBool::new(false)).map(|record| record.run)
}

#[test]
fn a_run_resumes_with_renamed_data_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("photos"), dir.path().join("deep/new name"));
    photos(&old);
    let reference = trained(tiny(dir.path(), &[&path_of(&old), JOINT]));
    let held_out = evaluate(&reference, None, None).unwrap();
    let run = stopped(dir.path(), &[&path_of(&old), JOINT]);
    fs::create_dir(dir.path().join("deep")).unwrap();
    fs::rename(&old, &new).unwrap();
    for error in [resume(&run, &mut [], &AtomicBool::new(false)).err(), evaluate(&reference, None, None).err()] {
        let error = error.unwrap();
        assert!(
            matches!(&error, Error::DataGone { missing, folders: 1, .. } if missing == std::slice::from_ref(&old)),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    // The folder with the same content takes the place of the one that is gone.
    let moved = evaluate(&reference, Some(&new), None).unwrap();
    assert_eq!((moved.part, moved.images, &moved.scores), ("test", held_out.images, &held_out.scores));
    assert!(moved.notes[0].contains("holds the data of the run") && moved.warning.is_none(), "{:?}", moved.notes);
    let run = resumed(&run, std::slice::from_ref(&new)).unwrap();
    for file in ["model.safetensors", "average.safetensors", "optimizer.safetensors"] {
        assert_eq!(hash(&reference, "last", file), hash(&run, "last", file), "{file}");
    }
    assert_eq!(metrics(&reference), metrics(&run));
    // The run keeps the new place.
    assert_eq!(evaluate(&run, None, None).unwrap().scores, held_out.scores);
}

#[test]
fn other_content_is_refused_with_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("photos"), dir.path().join("copy"));
    photos(&old);
    let run = stopped(dir.path(), &[&path_of(&old), JOINT]);
    photos(&new);
    fs::remove_file(new.join("cat/3.png")).unwrap();
    fs::remove_file(new.join("cat/4.png")).unwrap();
    class_folder(&new, "dog", [30, 30, 200], 40, 3);
    fs::copy(new.join("dog/41.png"), new.join("dog/2.png")).unwrap();
    fs::remove_file(new.join("dog/41.png")).unwrap();
    fs::rename(new.join("cat/7.png"), new.join("cat/seven.png")).unwrap();
    fs::rename(new.join("cat/9.png"), new.join("dog/9.png")).unwrap();
    let error = resumed(&run, std::slice::from_ref(&new)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let words = error.to_string();
    for part in [
        "3 rows are missing (such as cat/3.png)",
        "2 rows are new (such as dog/40.png)",
        "2 rows have another image (such as dog/2.png)",
        "1 row has another name (cat/seven.png)",
        "start a new run from its weights",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // Refused or not, the run is as it was.
    resumed(&run, &[]).unwrap();
    // Scored as other data it says what of it the run has seen.
    fs::rename(&old, dir.path().join("elsewhere")).unwrap();
    let scored = evaluate(&run, Some(&new), None).unwrap();
    assert_eq!((scored.part, scored.images), ("all", 31));
    assert!(scored.warning.as_ref().is_some_and(|words| words.contains("28 of the 31 images")), "{:?}", scored.warning);
}

#[test]
fn several_folders_are_replaced_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let old = ["a", "b"].map(|name| dir.path().join(name));
    for (at, folder) in old.iter().enumerate() {
        for (class, colour) in [("cat", [30, 200, 30]), ("dog", [30, 30, 200])] {
            class_folder(folder, class, colour.map(|level| level + at as u8), 0, 10);
        }
    }
    let entries: Vec<String> = old.iter().map(|path| format!("{{path=\"{}\"}}", path.display())).collect();
    let sources = format!("data.sources=[{}]", entries.join(","));
    let more = [&*sources, JOINT, "model.trunk.resnet.norm=group"];
    let reference = trained(tiny(dir.path(), &more));
    let run = stopped(dir.path(), &more);
    let new = ["x", "y"].map(|name| dir.path().join(name));
    old.iter().zip(&new).for_each(|(old, new)| fs::rename(old, new).unwrap());
    let words = resumed(&run, &new[..1]).unwrap_err().to_string();
    assert!(words.contains("trained on 2 folders") && words.contains("in this order; 1 is given"), "{words}");
    let swapped = [new[1].clone(), new[0].clone()];
    assert!(resumed(&run, &swapped).unwrap_err().to_string().contains("40 rows have another image"));
    let run = resumed(&run, &new).unwrap();
    assert_eq!(hash(&reference, "last", "model.safetensors"), hash(&run, "last", "model.safetensors"));
    let scenes = stopped(dir.path(), &[JOINT]);
    assert!(resumed(&scenes, &new[..1]).unwrap_err().to_string().contains("built-in scenes"));
}

#[test]
fn a_run_is_named_after_any_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("my photos (1)");
    photos(&folder);
    let run = trained(tiny(dir.path(), &[&path_of(&folder), JOINT, "budget.steps=1"]));
    assert!(run.ends_with("my-photos-1-0001"), "{}", run.display());
}
