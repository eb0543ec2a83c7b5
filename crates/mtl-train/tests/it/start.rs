//! Runs that begin with the trunk of another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_train::checkpoint::Checkpoint;
use mtl_train::config::{Config, Stage};
use mtl_train::event::{Event, Observer};
use mtl_train::{Error, evaluate, resume, settings, train};

use crate::{StopAt, hash, metrics, tiny};

/// What is said of a run beside its progress.
#[derive(Default)]
struct Listener {
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Observer for Listener {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { notes, .. } => self.notes.extend(notes.iter().cloned()),
            Event::Warning { message } => self.warnings.push(message.clone()),
            _ => {}
        }
    }
}

fn run(config: Config) -> (Result<PathBuf, Error>, Listener) {
    let mut listener = Listener::default();
    (train(config, &mut [&mut listener], &AtomicBool::new(false)), listener)
}

fn whole(dir: &Path, more: &[&str]) -> PathBuf {
    run(tiny(dir, more)).0.unwrap()
}

/// A run with the settings of another, and its weights.
fn after(run: &Path, more: &[&str]) -> Config {
    settings::load_from(run, None, &more.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn two_runs_give_what_one_gives() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages=[\"joint\"]"]);
    for (stages, rest) in
        [("stages=[\"joint\",\"vae\",\"gan\"]", None), ("stages=[\"joint\",\"gan\"]", Some("stages=[\"gan\"]"))]
    {
        let one = whole(dir.path(), &[stages]);
        let (two, told) = run(after(&joint, rest.as_slice()));
        assert_eq!(
            hash(&one, "last", "model.safetensors"),
            hash(&two.unwrap(), "last", "model.safetensors"),
            "{stages}"
        );
        assert!(told.warnings.is_empty(), "{:?}", told.warnings);
        assert!(told.notes.iter().any(|note| note.contains("trunk, heads, vae begin as those of")), "{:?}", told.notes);
    }
}

#[test]
fn a_resumed_run_needs_the_run_it_began_with_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages=[\"joint\"]"]);
    let reference = run(after(&joint, &[])).0.unwrap();
    let stopped = |stage: Stage, step: u64| {
        let flag = AtomicBool::new(false);
        let error = train(after(&joint, &[]), &mut [&mut StopAt { stage, step, flag: &flag }], &flag).unwrap_err();
        let Error::Interrupted { run, .. } = error else { panic!("{error}") };
        run
    };
    let runs = [stopped(Stage::Vae, 1), stopped(Stage::Vae, 2), stopped(Stage::Gan, 1)];
    // The first falls back to what it saved before its first step.
    let checkpoints = runs[0].join("checkpoints");
    fs::remove_dir_all(fs::canonicalize(checkpoints.join("last")).unwrap()).unwrap();
    assert!(checkpoints.join("vae-00000000").is_dir());
    fs::remove_dir_all(&joint).unwrap();
    for other in runs {
        let other = resume(&other, &mut [], &AtomicBool::new(false)).unwrap();
        for file in ["model.safetensors", "average.safetensors", "optimizer.safetensors"] {
            assert_eq!(hash(&reference, "last", file), hash(&other, "last", file), "{}", other.display());
        }
        assert_eq!(metrics(&reference), metrics(&other));
    }
}

#[test]
fn the_joint_stage_goes_on_learning() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages=[\"joint\"]"]);
    let learnt = Checkpoint::load(&joint.join("checkpoints/best")).unwrap().weights;
    let flag = AtomicBool::new(false);
    let mut at_one = StopAt { stage: Stage::Joint, step: 1, flag: &flag };
    train(after(&joint, &["stages=[\"joint\"]"]), &mut [&mut at_one], &flag).unwrap_err();
    let second = dir.path().join("scenes-0002");
    let start = Checkpoint::load(&second.join("checkpoints/joint-00000000")).unwrap().weights;
    assert_eq!(start.keys().collect::<Vec<_>>(), learnt.keys().collect::<Vec<_>>());
    for (name, value) in &start {
        assert_eq!(mtl_tensor::to_f64(value).unwrap(), mtl_tensor::to_f64(&learnt[name]).unwrap(), "{name}");
    }
    assert_ne!(hash(&second, "last", "model.safetensors"), hash(&joint, "last", "model.safetensors"));
}

#[test]
fn runs_that_do_not_fit_are_refused_with_every_difference() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let joint = whole(there.path(), &["stages=[\"joint\"]", "budget.steps=1"]);
    let from = format!("model.from=\"{}\"", joint.display());
    for (more, expected) in [
        (&["size=32x40"][..], &["size is 32x32 there and 32x40 here"][..]),
        (&["model.trunk.resnet.widths=[8,8,24]"], &["`model.trunk`", "24", "`trunk.stage3", "[16"]),
        (&["model.trunk=tutorial"], &["`model.trunk`", "Tutorial", "there is no `trunk."]),
        (&["data.tasks=[\"class\",\"parts\"]"], &["class, parts, depth there and class, parts here"]),
        (&["data.scenes.classes=[\"fish\",\"bird\"]"], &["task `class`", "\"boat\"", "`heads.class."]),
        (&["heads.class.classification.dropout=0.3"], &["`heads.class`", "dropout: 0.3"]),
        (&["model.vae.decoder.latent=4"], &["no stage here trains the VAE", "`vae.", "\"none\""]),
    ] {
        let more = [&["stages=[\"gan\"]", from.as_str()], more].concat();
        let error = run(tiny(here.path(), &more)).0.unwrap_err();
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2, "{message}");
        assert!(expected.iter().all(|word| message.contains(word)), "{more:?}: {message}");
    }
    let error = run(tiny(here.path(), &["stages=[\"gan\"]", "model.from=nowhere"])).0.unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("no such run folder"), "{error}");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "something was left behind");
    // A VAE of another shape may learn anew, where a stage trains it.
    let more = ["stages=[\"vae\"]", &from, "model.vae.decoder.latent=4"];
    let (second, told) = run(tiny(here.path(), &more));
    second.unwrap();
    assert!(
        told.notes.iter().any(|note| note.contains("the vae of") && note.contains("is another")),
        "{:?}",
        told.notes
    );
}

#[test]
fn generators_on_a_trunk_that_never_learnt_are_told_loudly() {
    let dir = tempfile::tempdir().unwrap();
    let (random, told) = run(tiny(dir.path(), &["stages=[\"gan\"]", "budget.gan_steps=1"]));
    let random = random.unwrap();
    assert!(
        told.warnings.iter().any(|words| words.contains("random") && words.contains("--from")),
        "{:?}",
        told.warnings
    );
    assert!(fs::read_to_string(random.join("log.txt")).unwrap().contains("warning: this run has neither"));
    let (_, told) = run(after(&random, &["stages=[\"gan\"]", "model.reconstruction=none"]));
    assert!(told.warnings.iter().any(|words| words.contains("never trained its trunk")), "{:?}", told.warnings);
}

#[test]
fn held_out_images_the_other_run_learnt_from_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages=[\"joint\"]", "budget.steps=1"]);
    let (second, told) = run(after(&joint, &["stages=[\"gan\"]", "budget.gan_steps=1", "seed=1"]));
    let second = second.unwrap();
    let flatters = |words: &String| words.contains("held-out images were learnt from") && words.contains("flatter");
    assert!(told.warnings.iter().any(flatters), "{:?}", told.warnings);
    assert!(evaluate(&second, None, None).unwrap().warning.is_some_and(|words| flatters(&words)));
    assert_eq!(evaluate(&joint, None, None).unwrap().warning, None);
    // It is followed from run to run, as far as the runs are there.
    let (_, told) = run(after(&second, &["stages=[\"gan\"]", "budget.gan_steps=1"]));
    assert!(told.warnings.iter().any(flatters), "{:?}", told.warnings);
    fs::remove_dir_all(&joint).unwrap();
    let (_, told) = run(after(&second, &["stages=[\"gan\"]", "budget.gan_steps=1"]));
    assert!(told.warnings.iter().any(|words| words.contains("cannot be told")), "{:?}", told.warnings);
}
