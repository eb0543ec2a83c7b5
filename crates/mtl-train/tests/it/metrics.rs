//! The content of `metrics.jsonl` per step.

use std::path::Path;

use serde_json::Value;

use crate::{tiny, trained};

fn steps(run: &Path, stage: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "step" && line["stage"] == stage).collect()
}

fn run(dir: &Path, more: &[&str]) -> std::path::PathBuf {
    trained(tiny(dir, more))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn steps_have_weights_learning_rates_and_gradient_norms() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path(), &["balancer=uncertainty", "stages.joint.schedule={lr=1e-3,warmup=0.5,min_lr_ratio=0.0}"]);
    let joint = steps(&run, "joint");
    assert_eq!(joint.len(), 6);
    for line in &joint {
        let keys = |key: &str| line[key].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys("losses"), keys("weights"));
        assert_eq!((keys("lr"), keys("grad_norm")), (vec!["joint".to_owned()], vec!["joint".to_owned()]));
        assert!(number(&line["grad_norm"]["joint"]) > 0.0);
    }
    // Uncertainty weights start at one half and then diverge.
    let weights = |step: usize| joint[step]["weights"].as_object().unwrap().values().map(number).collect::<Vec<_>>();
    assert_eq!(weights(0), [0.5; 4]);
    assert_ne!(weights(5), [0.5; 4]);
    let rates: Vec<f64> = joint.iter().map(|line| number(&line["lr"]["joint"])).collect();
    assert!((rates[1] - 1e-3 / 3.0).abs() < 1e-9 && (rates[3] - 1e-3).abs() < 1e-9, "{rates:?}");
    for (stage, optimizers) in [("vae", &["vae"][..]), ("gan", &["critic", "generator"])] {
        for line in steps(&run, stage) {
            assert!(line.get("weights").is_none());
            for key in ["lr", "grad_norm"] {
                let numbers = line[key].as_object().unwrap();
                assert!(numbers.keys().eq(optimizers) && numbers.values().all(|value| number(value) > 0.0), "{line}");
            }
        }
    }
}

#[test]
fn gradient_norms_are_those_before_clipping() {
    let dir = tempfile::tempdir().unwrap();
    let first = |clip: &str| {
        let run = run(dir.path(), &["stages.run=[\"joint\"]", "budget.steps=1", clip]);
        number(&steps(&run, "joint")[0]["grad_norm"]["joint"])
    };
    let free = first("stages.joint.clip_grad_norm=0.0");
    assert!(free > 1e-3);
    assert_eq!(free, first("stages.joint.clip_grad_norm=0.001"));
}

#[test]
fn nothing_but_keys_in_s_depends_on_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let read = |run: &Path| {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let timeless = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_s"));
            line
        };
        text.lines().map(timeless).collect::<Vec<_>>()
    };
    let more = ["budget.steps=2", "stages.vae.steps=1", "stages.gan.steps=1"];
    assert_eq!(read(&run(dir.path(), &more)), read(&run(dir.path(), &more)));
}
