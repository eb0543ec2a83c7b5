//! Tiny comparisons on built-in scenes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mtl_experiment::{ArmResult, Comparison, ComparisonResult, Error, Event, Experiment, Observer, Result, compare};
use mtl_train::store::{read_config, read_record};

/// Runs of a fraction of a second: 48 scenes of 32x32, two tasks, networks a few channels wide.
fn tiny(runs: &Path, more: &[&str]) -> Experiment {
    let overrides = [
        "size=32",
        "data.scenes.count=48",
        "data.scenes.size=32",
        "data.tasks=[\"class\", \"depth\"]",
        "data.loader.workers=1",
        "model.trunk.resnet.widths=[8,8,16]",
        "model.trunk.resnet.blocks=1",
        "generators.vae.vae.decoder.latent=8",
        "stages.joint.batch=8",
        "stages.joint.validations=1",
    ];
    let overrides = overrides.iter().chain(more).map(|text| (*text).to_owned()).collect();
    Experiment { overrides, steps: 2, seeds: 2, runs: runs.to_owned(), ..Experiment::default() }
}

fn comparison(experiment: Experiment, methods: &[&str]) -> Comparison {
    Comparison { experiment, methods: methods.iter().map(|method| (*method).to_owned()).collect() }
}

/// Counts runs; sets the stop flag after the first step of trained run number `stop_in`.
#[derive(Default)]
struct Counts<'a> {
    planned: usize,
    trained: Vec<bool>,
    finished: usize,
    reused: usize,
    stop_in: Option<(usize, &'a AtomicBool)>,
}

impl Observer for Counts<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { runs, .. } => self.planned = *runs,
            Event::RunStarted { resumed, .. } => self.trained.push(*resumed),
            Event::Run(mtl_train::event::Event::Step { .. }) => {
                if let Some((run, stop)) = self.stop_in
                    && run == self.trained.len()
                {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Event::RunFinished { reused, finished, .. } => {
                self.finished += 1;
                assert_eq!(*finished, self.finished);
                self.reused += usize::from(*reused);
            }
            _ => {}
        }
    }
}

fn counted<'a>(
    comparison: &Comparison,
    mut counts: Counts<'a>,
    stop: &AtomicBool,
) -> (Result<ComparisonResult>, Counts<'a>) {
    let result = compare(comparison, &mut [&mut counts], stop);
    (result, counts)
}

fn run(comparison: &Comparison) -> (ComparisonResult, Counts<'static>) {
    let (result, counts) = counted(comparison, Counts::default(), &AtomicBool::new(false));
    (result.unwrap(), counts)
}

fn folders(runs: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Values of all scores, by arm, seed and task.
fn values(arms: &[ArmResult]) -> BTreeMap<(String, u64, String), f64> {
    let runs = arms.iter().flat_map(|arm| arm.runs.iter().map(|run| (arm.arm.name.clone(), run)));
    runs.flat_map(|(arm, run)| {
        run.scores.iter().map(move |(task, score)| ((arm.clone(), run.seed, task.clone()), score.value))
    })
    .collect()
}

#[test]
fn every_arm_is_trained_once() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let comparison = comparison(tiny(&runs, &[]), &["upgrad", "cagrad:c=0.25"]);
    let (result, counts) = run(&comparison);
    // 6 arms with 2 seeds, a lower and a higher weight of two tasks and the reconstruction.
    assert_eq!((counts.planned, counts.finished), (18, 18));
    let names: Vec<&str> = result.arms.iter().map(|arm| arm.arm.name.as_str()).collect();
    let best = result.trials.iter().max_by(|a, b| a.runs[0].skill.total_cmp(&b.runs[0].skill)).unwrap();
    // Tuned weights have the runs of the best trial, or of equal weighting.
    let (tuned, reused) = match best.runs[0].skill > result.arms[2].runs[0].skill {
        true => (best.arm.name.replace("weight: ", "tuned weights: "), 1),
        false => ("tuned weights: none better".to_owned(), 2),
    };
    assert_eq!(
        names,
        ["single task: class", "single task: depth", "equal weighting", &tuned, "upgrad", "cagrad:c=0.25"]
    );
    assert_eq!((counts.reused, counts.trained.len(), folders(&runs).len()), (reused, 18 - reused, 18 - reused));
    checks_runs(&result);

    let (again, counts) = run(&comparison);
    assert_eq!((counts.reused, counts.trained.len()), (18, 0));
    assert_eq!(again, result);
    // Other images under the same settings.
    let other = &result.arms[4].runs[1].run;
    let schema = std::fs::read_to_string(other.join("schema.json")).unwrap();
    let at = schema.find("\"split_sha256\": \"").unwrap() + 17;
    let changed = if &schema[at..=at] == "0" { "1" } else { "0" };
    std::fs::write(other.join("schema.json"), [&schema[..at], changed, &schema[at + 1..]].concat()).unwrap();
    let (again, counts) = run(&comparison);
    assert_eq!((counts.reused, counts.trained), (17, vec![false]));
    assert_eq!(values(&again.arms), values(&result.arms));
    assert_ne!(&again.arms[4].runs[1].run, other);
}

fn checks_runs(result: &ComparisonResult) {
    for arm in result.arms.iter().chain(&result.trials) {
        for (index, run) in arm.runs.iter().enumerate() {
            let (config, record) = (read_config(&run.run).unwrap(), read_record(&run.run).unwrap());
            assert_eq!((config.seed, run.seed), (index as u64, index as u64));
            assert_eq!(
                record.stages.iter().map(|stage| (stage.name.as_str(), stage.steps)).collect::<Vec<_>>(),
                [("joint", 2)]
            );
            assert_eq!(Some(run.skill), record.best.unwrap().value.skill());
            let scores: Vec<_> = record.scores.iter().map(|task| (task.task.clone(), task.scores[0].clone())).collect();
            assert_eq!(run.scores.clone().into_iter().collect::<Vec<_>>(), {
                let mut sorted = scores;
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                sorted
            });
            assert!(!run.run.join("checkpoints").exists() && run.run.join("metrics.jsonl").exists());
        }
    }
    let tasks = |at: usize| result.arms[at].runs[0].scores.keys().cloned().collect::<Vec<_>>();
    assert_eq!((tasks(0), tasks(1)), (vec!["class".to_owned()], vec!["depth".to_owned()]));
    assert_eq!(tasks(2), ["class", "depth", "reconstruction"]);
    let balancer = |at: usize| read_config(&result.arms[at].runs[0].run).unwrap().balancer;
    assert_eq!([2, 4, 5].map(|at| balancer(at).name()), ["fixed", "upgrad", "cagrad"]);
}

#[test]
fn an_interrupted_comparison_continues() {
    let dir = tempfile::tempdir().unwrap();
    let experiment = |name: &str| Experiment {
        seeds: 1,
        keep_checkpoints: true,
        ..tiny(&dir.path().join(name), &["objectives.reconstruction=none"])
    };
    let (whole, all) = run(&comparison(experiment("whole"), &[]));
    let comparison = comparison(experiment("interrupted"), &[]);
    let stop = AtomicBool::new(false);
    let (result, counts) = counted(&comparison, Counts { stop_in: Some((3, &stop)), ..Counts::default() }, &stop);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Interrupted { finished: 2, planned: 8 }), "{error}");
    assert_eq!((counts.trained, counts.finished), (vec![false; 3], 2));
    // The flag is still set: nothing starts.
    let (result, counts) = counted(&comparison, Counts::default(), &stop);
    assert!(matches!(result, Err(Error::Interrupted { finished: 0, planned: 8 })));
    assert!(counts.trained.is_empty());
    // The third run goes on; what is complete is not repeated.
    let (result, counts) = run(&comparison);
    assert_eq!(counts.trained.len(), all.trained.len() - 2);
    assert_eq!(counts.trained.iter().map(|resumed| usize::from(*resumed)).collect::<Vec<_>>()[..2], [1, 0]);
    assert_eq!(counts.trained.iter().filter(|resumed| **resumed).count(), 1);
    assert_eq!(values(&result.arms), values(&whole.arms));
    assert_eq!(values(&result.trials), values(&whole.trials));
    assert!(result.arms[0].runs[0].run.join("checkpoints/last").exists());
}

#[test]
fn mistakes_are_found_before_the_first_run() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let plain = tiny(&runs, &[]);
    let with = |more: &str| comparison(tiny(&runs, &[more]), &[]);
    for (wrong, expected) in [
        (comparison(plain.clone(), &["upgrad", "pcgard"]), "pcgard: balancer=pcgard: unknown variant"),
        (comparison(plain.clone(), &["cagrad:c=-1"]), "cagrad:c=-1: balancer: balancer.cagrad.c = -1"),
        (comparison(plain.clone(), &["cagrad:k=1"]), "unknown field `k`"),
        (comparison(plain.clone(), &["cagrad:c"]), "NAME:key=value"),
        (comparison(plain.clone(), &["pcd:primary=clas"]), "did you mean `class`"),
        (comparison(Experiment { seeds: 0, ..plain.clone() }, &[]), "seeds: at least 1"),
        (comparison(Experiment { steps: 0, ..plain.clone() }, &[]), "steps, epochs and minutes must be above 0"),
        (comparison(Experiment { preset: "smal".into(), ..plain }, &[]), "did you mean `small`"),
        (with("balancer=pcgrad"), "balancer `pcgrad` is set for all runs"),
        (with("data.tasks=[\"clas\"]"), "did you mean `class`"),
        (with("data.split.test=0"), "data.split.test: no test images"),
    ] {
        let (result, counts) = counted(&wrong, Counts::default(), &AtomicBool::new(false));
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(counts.trained.len() + counts.planned, 0, "{expected}");
    }
    let single = tiny(&runs, &["data.tasks=[\"class\"]", "objectives.reconstruction=none"]);
    let error = compare(&comparison(single, &[]), &mut [], &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("nothing to compare"), "{error}");
    assert!(!runs.exists());
}
