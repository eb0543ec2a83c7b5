//! An interrupted and resumed run equals one that was never interrupted, bit for bit, in every stage and mid-epoch; and
//! neither depends on the number of threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_train::config::Stage;
use mtl_train::{Error, resume, train};

use crate::{StopAt, hash, metrics, tiny};

const FILES: [&str; 3] = ["model.safetensors", "average.safetensors", "optimizer.safetensors"];

fn whole(dir: &Path, more: &[&str]) -> PathBuf {
    train(tiny(dir, more), &mut [], &AtomicBool::new(false)).unwrap()
}

fn interrupted(dir: &Path, more: &[&str], stage: Stage, step: u64) -> PathBuf {
    let flag = AtomicBool::new(false);
    let error = train(tiny(dir, more), &mut [&mut StopAt { stage, step, flag: &flag }], &flag).unwrap_err();
    assert_eq!(error.exit_code(), 130, "{error}");
    let Error::Interrupted { run, .. } = error else { panic!("{error}") };
    resume(&run, &mut [], &AtomicBool::new(false)).unwrap()
}

fn assert_same(a: &Path, b: &Path, what: &str) {
    for file in FILES {
        assert_eq!(hash(a, "last", file), hash(b, "last", file), "{what}: {file}");
    }
    assert_eq!(metrics(a), metrics(b), "{what}");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let reference = whole(dir.path(), &[]);
    // 34 training images in batches of 8: four batches an epoch, so steps 1, 3 and 5 lie inside an epoch.
    for (stage, step) in
        [(Stage::Joint, 1), (Stage::Joint, 4), (Stage::Joint, 5), (Stage::Vae, 2), (Stage::Gan, 1), (Stage::Gan, 3)]
    {
        let other = interrupted(dir.path(), &[], stage, step);
        assert_same(&reference, &other, &format!("stopped at {stage:?} {step}"));
    }
}

/// The closing save of a stage points `best` at the finished stage and then `last`: a process that dies in between leaves
/// them apart.
#[cfg(unix)]
#[test]
fn a_stage_that_died_while_it_was_closed_is_closed_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = whole(dir.path(), &["stages=[\"joint\"]"]);
    let before = FILES.map(|file| hash(&run, "last", file));
    let last = run.join("checkpoints/last");
    let done = std::fs::read_link(&last).unwrap().to_string_lossy().into_owned();
    std::fs::remove_file(&last).unwrap();
    std::os::unix::fs::symlink(done.strip_suffix("-done").unwrap(), &last).unwrap();
    resume(&run, &mut [], &AtomicBool::new(false)).unwrap();
    assert_eq!(before, FILES.map(|file| hash(&run, "last", file)));
}

#[test]
fn balancers_and_modes_resume_too() {
    for more in [
        &["balancer=uncertainty", "stages=[\"joint\"]"][..],
        &["balancer=dwa", "stages=[\"joint\"]", "budget.steps=14"],
        &["balancer=pcgrad", "stages=[\"joint\"]"],
        &["balancer=famo", "stages=[\"joint\"]"],
        &["balancer=db_mtl", "stages=[\"joint\"]"],
        &["balancer=excess_mtl", "stages=[\"joint\"]"],
        &["balancer=sdmgrad", "stages=[\"joint\"]"],
        &["balancer=auto_lambda", "balancer.auto_lambda.lr=0.01", "stages=[\"joint\"]"],
        &[
            "balancer=upgrad",
            "balancing={ema=0.9, every=2, match_norm=true}",
            "joint.compare_every=2",
            "stages=[\"joint\"]",
        ],
        &["joint.optimizer={sgd={}}", "stages=[\"joint\"]"],
        &["model.gan.mode=live", "budget.steps=2"],
        &["model.gan.mode=hybrid", "budget.steps=2"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let reference = whole(dir.path(), more);
        let gan = more.iter().any(|text| text.contains("gan.mode"));
        let (stage, step) = if gan { (Stage::Gan, 2) } else { (Stage::Joint, 5) };
        let other = interrupted(dir.path(), more, stage, step);
        assert_same(&reference, &other, &format!("{more:?}"));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let run = |threads: usize| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let workers = format!("data.loader.workers={threads}");
        let run = pool.install(|| whole(dir.path(), &[&workers, "budget.steps=3"]));
        FILES.map(|file| hash(&run, "last", file))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn another_seed_is_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let stages = "stages=[\"joint\"]";
    let (a, b) =
        (whole(dir.path(), &[stages, "budget.steps=2"]), whole(dir.path(), &[stages, "budget.steps=2", "seed=1"]));
    assert_ne!(hash(&a, "last", FILES[0]), hash(&b, "last", FILES[0]));
}
