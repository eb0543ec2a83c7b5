//! An interrupted and resumed run equals one that was never interrupted, bit for bit, in every stage and mid-epoch; and
//! neither depends on the number of threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_tensor::{Tensor, to_f64};
use mtl_train::store::checkpoint::Checkpoint;
use mtl_train::store::read_record;
use mtl_train::{Error, RunRecord, resume, train};

use crate::{StopAt, hash, metrics, tiny, trained};

const FILES: [&str; 3] = ["model.safetensors", "average.safetensors", "optimizer.safetensors"];

fn whole(dir: &Path, more: &[&str]) -> PathBuf {
    trained(tiny(dir, more))
}

fn interrupted(dir: &Path, more: &[&str], stage: &'static str, step: u64) -> PathBuf {
    let flag = AtomicBool::new(false);
    let error = train(tiny(dir, more), &mut [&mut StopAt { stage, step, flag: &flag }], &flag).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Interrupted, "{error}");
    let Error::Interrupted { run, .. } = error else { panic!("{error}") };
    resume(&run, &mut [], &AtomicBool::new(false)).unwrap().run
}

fn assert_same(a: &Path, b: &Path, what: &str) {
    for file in FILES {
        assert_eq!(hash(a, "last", file), hash(b, "last", file), "{what}: {file}");
    }
    assert_eq!(metrics(a), metrics(b), "{what}");
    let (a, b) = (read_record(a).unwrap(), read_record(b).unwrap());
    assert_eq!((&a.scores, &a.conflicts, &a.best), (&b.scores, &b.conflicts, &b.best), "{what}");
    let stages = |record: &RunRecord| {
        record.stages.iter().map(|s| (s.name.clone(), s.steps, s.best.clone())).collect::<Vec<_>>()
    };
    assert_eq!(stages(&a), stages(&b), "{what}");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let reference = whole(dir.path(), &[]);
    // 34 training images in batches of 8: four batches per epoch, so steps 1, 3 and 5 lie inside an epoch.
    for (stage, step) in [("joint", 1), ("joint", 4), ("joint", 5), ("vae", 2), ("gan", 1), ("gan", 3)] {
        let other = interrupted(dir.path(), &[], stage, step);
        assert_same(&reference, &other, &format!("stopped at {stage:?} {step}"));
    }
}

/// The closing save of a stage points `best` at the finished stage and then `last`: after a crash in between they
/// differ.
#[cfg(unix)]
#[test]
fn a_stage_interrupted_while_closing_is_closed_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = whole(dir.path(), &["stages.run=[\"joint\"]"]);
    let before = FILES.map(|file| hash(&run, "last", file));
    let last = run.join("checkpoints/last");
    let done = std::fs::read_link(&last).unwrap().to_string_lossy().into_owned();
    std::fs::remove_file(&last).unwrap();
    std::os::unix::fs::symlink(done.strip_suffix("-done").unwrap(), &last).unwrap();
    let again = resume(&run, &mut [], &AtomicBool::new(false)).unwrap();
    assert!(again.best.is_some());
    assert_eq!(before, FILES.map(|file| hash(&run, "last", file)));
}

#[test]
fn balancers_and_modes_resume_too() {
    for more in [
        &["balancer=uncertainty", "stages.run=[\"joint\"]"][..],
        &["balancer=dwa", "stages.run=[\"joint\"]", "budget.steps=14"],
        &["balancer=pcgrad", "stages.run=[\"joint\"]"],
        &["balancer=famo", "stages.run=[\"joint\"]"],
        &["balancer=db_mtl", "stages.run=[\"joint\"]"],
        &["balancer=excess_mtl", "stages.run=[\"joint\"]"],
        &["balancer=sdmgrad", "stages.run=[\"joint\"]"],
        &["balancer=auto_lambda", "balancer.auto_lambda.lr=0.01", "stages.run=[\"joint\"]"],
        &[
            "balancer=upgrad",
            "balancer_options={ema=0.9, every=2, match_norm=true}",
            "stages.joint.gradient_stats_every=2",
            "stages.run=[\"joint\"]",
        ],
        &["stages.joint.optimizer={sgd={}}", "stages.run=[\"joint\"]"],
        &["generators.gan.gan.mode=finetuned", "budget.steps=2"],
        &["generators.gan.gan.mode=hybrid", "budget.steps=2"],
        // Enough validation images for the choice of the best step, which is not the last one everywhere.
        &["generators.gan.gan.mode=frozen", "data.scenes.count=400", "stages.gan.validations=3", "budget.steps=2"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let reference = whole(dir.path(), more);
        let gan = more.iter().any(|text| text.contains("gan.mode"));
        let (stage, step) = if gan { ("gan", 2) } else { ("joint", 5) };
        let other = interrupted(dir.path(), more, stage, step);
        assert_same(&reference, &other, &format!("{more:?}"));
    }
}

#[test]
fn a_flow_resumes_in_both_parts_of_its_stage_and_between_them() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        "stages.run=[\"flow\"]",
        "data.scenes.count=400",
        "generators.flow.flow={width=16,blocks=1,steps=2}",
        "stages.flow.batch=8",
        "stages.flow.steps=8",
        "stages.flow.validations=4",
    ];
    let reference = whole(dir.path(), &more);
    // The fourth step is the last one of the tokenizer's part: 4 / 8 is the first fraction above 0.4. The discriminator begins at the
    // second one, above 0.4 / 4.
    for step in [1, 3, 4, 5, 6] {
        assert_same(&reference, &interrupted(dir.path(), &more, "flow", step), &format!("stopped at {step}"));
    }
    let lines = metrics(&reference);
    let count = |words: &str| lines.lines().filter(|line| line.contains(words)).count();
    assert_eq!((count("\"perceptual\""), count("\"velocity\"")), (4, 4));
    assert_eq!(count("\"penalty\""), 3);
    // No validation in the first part.
    assert_eq!(count("\"event\":\"samples\""), 2);
}

#[test]
fn a_flow_continues_on_the_averages_of_its_tokenizer() {
    let decoder = |step: u64| {
        let dir = tempfile::tempdir().unwrap();
        let flag = AtomicBool::new(false);
        let more = [
            "stages.run=[\"flow\"]",
            "generators.flow.flow={width=16,blocks=1,steps=2}",
            "stages.flow.batch=8",
            "stages.flow.steps=8",
        ];
        let stop = &mut StopAt { stage: "flow", step, flag: &flag };
        let Error::Interrupted { run, .. } = train(tiny(dir.path(), &more), &mut [stop], &flag).unwrap_err() else {
            panic!("not interrupted")
        };
        let checkpoint = Checkpoint::load(&run.join("checkpoints/last")).unwrap();
        let name = "flow.decoder.last.paint.weight";
        let of = |values: &std::collections::BTreeMap<String, Tensor>| to_f64(&values[name]).unwrap();
        (of(&checkpoint.weights), of(&checkpoint.averages))
    };
    let (weights, averages) = decoder(3);
    assert_ne!(weights, averages);
    let (weights, averages) = decoder(6);
    assert_eq!(weights, averages);
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
    let stages = "stages.run=[\"joint\"]";
    let (a, b) =
        (whole(dir.path(), &[stages, "budget.steps=2"]), whole(dir.path(), &[stages, "budget.steps=2", "seed=1"]));
    assert_ne!(hash(&a, "last", FILES[0]), hash(&b, "last", FILES[0]));
}
