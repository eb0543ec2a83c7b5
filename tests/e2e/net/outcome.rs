//! Results of a run, read from its folder: the only code here that depends on the format of run folders.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Lists by name: steps, comparisons of gradients, validations, scores, parameters.
pub struct Outcome {
    /// Compared within the tolerance.
    pub lists: BTreeMap<&'static str, Vec<Value>>,
    /// SHA-256 of the newest checkpoint's weights and averages, independent of their names.
    pub weights_sha256: String,
}

impl Outcome {
    /// Reads a run folder.
    pub fn read(run: &Path) -> Self {
        let mut lists = BTreeMap::from(["steps", "gradients", "validations", "scores"].map(|name| (name, Vec::new())));
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            match line["event"].as_str().unwrap() {
                "step" => lists.get_mut("steps").unwrap().push(step(&line)),
                "gradients" => lists.get_mut("gradients").unwrap().push(gradients(&line)),
                "validation" => lists.get_mut("validations").unwrap().push(validation(&line)),
                "test" => lists.get_mut("scores").unwrap().extend(scores(&line["scores"])),
                _ => {}
            }
        }
        let checkpoint = run.join("checkpoints/last");
        let (parameters, weights_sha256) = weights(&checkpoint);
        lists.insert("parameters", parameters);
        Self { lists, weights_sha256 }
    }
}

fn step(line: &Value) -> Value {
    let empty = || Value::Object(Map::new());
    json!({
        "at": format!("{} {}", line["stage"].as_str().unwrap(), line["step"]),
        "losses": line["losses"],
        "weights": line.get("weights").cloned().unwrap_or_else(empty),
        "lr": line["lr"],
        "grad_norm": line["grad_norm"],
    })
}

fn gradients(line: &Value) -> Value {
    let stages = line["stages"].as_object().unwrap().iter();
    let stages: Map<String, Value> = stages
        .map(|(stage, angles)| (stage.clone(), json!({ "norms": angles["norms"], "cosines": angles["cosines"] })))
        .collect();
    json!({ "at": line["step"], "tasks": line["tasks"], "stages": stages })
}

fn validation(line: &Value) -> Value {
    json!({ "at": line["step"], "skill": line["skill"], "best": line["best"] })
}

fn scores(tasks: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for task in tasks.as_array().unwrap() {
        for (kind, key) in [("model", "scores"), ("baseline", "baseline")] {
            for score in task[key].as_array().unwrap() {
                let name = [&task["task"], &score["name"]].map(|name| name.as_str().unwrap()).join(" ");
                all.push(json!({ "of": kind, "score": name, "value": score["value"], "n": score["n"] }));
            }
        }
    }
    all
}

/// Names with shapes, and a hash of all tensors: of their shapes and bytes, in the order of the single hashes, so that a
/// parameter may be renamed.
fn weights(checkpoint: &Path) -> (Vec<Value>, String) {
    let (mut names, mut hashes) = (Vec::new(), Vec::new());
    for file in ["model", "average"] {
        let path = checkpoint.join(format!("{file}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut own: Vec<String> = Vec::new();
        for (name, tensor) in tensors.iter() {
            own.push(format!("{name} {:?}", tensor.shape()));
            let mut hash = Sha256::new();
            hash.update(format!("{file} {:?} {:?}\n", tensor.dtype(), tensor.shape()));
            hash.update(tensor.data());
            hashes.push(hash.finalize());
        }
        // The average is of a part of the weights, under the same names.
        if file == "model" {
            own.sort();
            names.extend(own.into_iter().map(Value::String));
        }
    }
    hashes.sort();
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(hash);
    }
    (names, all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
