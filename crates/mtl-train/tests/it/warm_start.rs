//! Runs with initial weights from another run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_train::config::Config;
use mtl_train::event::{Event, Observer};
use mtl_train::store::checkpoint::Checkpoint;
use mtl_train::{Error, evaluate, resume, train};

use crate::{StopAt, hash, init_from as after, metrics, tiny};

/// Notes and warnings of a run.
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
    (train(config, &mut [&mut listener], &AtomicBool::new(false)).map(|record| record.run), listener)
}

fn whole(dir: &Path, more: &[&str]) -> PathBuf {
    run(tiny(dir, more)).0.unwrap()
}

#[test]
fn two_runs_give_what_one_gives() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages.run=[\"joint\"]"]);
    for (stages, rest) in [
        ("stages.run=[\"joint\",\"vae\",\"gan\"]", None),
        ("stages.run=[\"joint\",\"gan\"]", Some("stages.run=[\"gan\"]")),
    ] {
        let one = whole(dir.path(), &[stages]);
        let (two, heard) = run(after(&joint, rest.as_slice()));
        assert_eq!(
            hash(&one, "last", "model.safetensors"),
            hash(&two.unwrap(), "last", "model.safetensors"),
            "{stages}"
        );
        // The trunk is trained; the images are few for a generator.
        assert!(heard.warnings.iter().all(|warning| warning.contains("below 100")), "{:?}", heard.warnings);
        assert!(
            heard.notes.iter().any(|note| note.contains("trunk, heads, vae start from the weights of")),
            "{:?}",
            heard.notes
        );
    }
}

#[test]
fn a_resumed_run_does_not_need_the_run_of_its_initial_weights() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages.run=[\"joint\"]"]);
    let reference = run(after(&joint, &[])).0.unwrap();
    let stopped = |stage: &'static str, step: u64| {
        let flag = AtomicBool::new(false);
        let error = train(after(&joint, &[]), &mut [&mut StopAt { stage, step, flag: &flag }], &flag).unwrap_err();
        let Error::Interrupted { run, .. } = error else { panic!("{error}") };
        run
    };
    let runs = [stopped("vae", 1), stopped("vae", 2), stopped("gan", 1)];
    // The first falls back to the checkpoint before its first step.
    let checkpoints = runs[0].join("checkpoints");
    fs::remove_dir_all(fs::canonicalize(checkpoints.join("last")).unwrap()).unwrap();
    assert!(checkpoints.join("vae-00000000").is_dir());
    fs::remove_dir_all(&joint).unwrap();
    for other in runs {
        let other = resume(&other, &mut [], &AtomicBool::new(false)).unwrap().run;
        for file in ["model.safetensors", "average.safetensors", "optimizer.safetensors"] {
            assert_eq!(hash(&reference, "last", file), hash(&other, "last", file), "{}", other.display());
        }
        assert_eq!(metrics(&reference), metrics(&other));
    }
}

#[test]
fn the_joint_stage_continues_training() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages.run=[\"joint\"]"]);
    let trained = Checkpoint::load(&joint.join("checkpoints/best")).unwrap().weights;
    let flag = AtomicBool::new(false);
    let mut at_one = StopAt { stage: "joint", step: 1, flag: &flag };
    train(after(&joint, &["stages.run=[\"joint\"]"]), &mut [&mut at_one], &flag).unwrap_err();
    let second = dir.path().join("scenes-0002");
    let start = Checkpoint::load(&second.join("checkpoints/joint-00000000")).unwrap().weights;
    assert_eq!(start.keys().collect::<Vec<_>>(), trained.keys().collect::<Vec<_>>());
    for (name, value) in &start {
        assert_eq!(mtl_tensor::to_f64(value).unwrap(), mtl_tensor::to_f64(&trained[name]).unwrap(), "{name}");
    }
    assert_ne!(hash(&second, "last", "model.safetensors"), hash(&joint, "last", "model.safetensors"));
}

#[test]
fn runs_that_do_not_match_are_refused_with_every_difference() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let joint = whole(there.path(), &["stages.run=[\"joint\"]", "budget.steps=1"]);
    let from = format!("model.init_from=\"{}\"", joint.display());
    for (more, expected) in [
        (&["size=32x40"][..], &["size is 32x32 there and 32x40 here"][..]),
        (&["model.trunk.resnet.widths=[8,8,24]"], &["`model.trunk`", "24", "`trunk.stage3", "[16"]),
        (&["model.trunk=convnet"], &["`model.trunk`", "Convnet", "is missing there"]),
        (&["data.tasks=[\"class\",\"parts\"]"], &["class, parts, depth there and class, parts here"]),
        (&["data.scenes.classes=[\"fish\",\"bird\"]"], &["task `class`", "\"boat\"", "`heads.class."]),
        (&["heads.class.classification.dropout=0.3"], &["`heads.class`", "dropout: 0.3"]),
        (
            &["generators.vae.vae.decoder.latent=4"],
            &["no stage here trains the generator `vae`", "`vae.", "reconstruction=none"],
        ),
    ] {
        let more = [&["stages.run=[\"gan\"]", from.as_str()], more].concat();
        let error = run(tiny(here.path(), &more)).0.unwrap_err();
        let message = error.to_string();
        assert_eq!(error.kind(), mtl_train::ErrorKind::Configuration, "{message}");
        assert!(expected.iter().all(|word| message.contains(word)), "{more:?}: {message}");
    }
    let error = run(tiny(here.path(), &["stages.run=[\"gan\"]", "model.init_from=nowhere"])).0.unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("does not exist"), "{error}");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "something was left behind");
    // A VAE of another shape is trained from random weights, if a stage trains it.
    let more = ["stages.run=[\"vae\"]", &from, "generators.vae.vae.decoder.latent=4"];
    let (second, heard) = run(tiny(here.path(), &more));
    second.unwrap();
    assert!(
        heard.notes.iter().any(|note| note.contains("the vae of") && note.contains("is another")),
        "{:?}",
        heard.notes
    );
}

#[test]
fn generators_on_an_untrained_trunk_give_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (random, heard) = run(tiny(dir.path(), &["stages.run=[\"gan\"]", "stages.gan.steps=1"]));
    let random = random.unwrap();
    assert!(
        heard.warnings.iter().any(|words| words.contains("random") && words.contains("model.init_from")),
        "{:?}",
        heard.warnings
    );
    assert!(fs::read_to_string(random.join("log.txt")).unwrap().contains("warning: this run has neither"));
    let (_, heard) = run(after(&random, &["stages.run=[\"gan\"]", "objectives.reconstruction=none"]));
    assert!(heard.warnings.iter().any(|words| words.contains("never trained its encoder")), "{:?}", heard.warnings);
}

#[test]
fn held_out_images_that_the_other_run_trained_on_give_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let joint = whole(dir.path(), &["stages.run=[\"joint\"]", "budget.steps=1"]);
    let (second, heard) = run(after(&joint, &["stages.run=[\"gan\"]", "stages.gan.steps=1", "seed=1"]));
    let second = second.unwrap();
    let flatters = |words: &String| words.contains("held-out images were learnt from") && words.contains("flatter");
    assert!(heard.warnings.iter().any(flatters), "{:?}", heard.warnings);
    assert!(evaluate(&second, None, None).unwrap().warning.is_some_and(|words| flatters(&words)));
    assert_eq!(evaluate(&joint, None, None).unwrap().warning, None);
    // The chain of runs is followed as far as the runs exist.
    let (_, heard) = run(after(&second, &["stages.run=[\"gan\"]", "stages.gan.steps=1"]));
    assert!(heard.warnings.iter().any(flatters), "{:?}", heard.warnings);
    fs::remove_dir_all(&joint).unwrap();
    let (_, heard) = run(after(&second, &["stages.run=[\"gan\"]", "stages.gan.steps=1"]));
    assert!(heard.warnings.iter().any(|words| words.contains("is unknown")), "{:?}", heard.warnings);
}
