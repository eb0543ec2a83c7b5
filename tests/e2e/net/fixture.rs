//! One file per case with the recorded results, one line per step or score.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::outcome::Outcome;
use crate::snapshot;

/// Largest relative difference of two numbers that count as equal. It allows for rounding: other vector widths and block sizes
/// add in another order, which changes a loss by some 1e-7 per step and grows as the weights drift apart.
pub const RELATIVE: f64 = 2e-3;
/// Numbers whose differences are compared with one, since they may be zero: cosines, scores, skill scores.
const OF_ONE: [&str; 3] = ["cosines", "value", "skill"];

/// Most differences listed, first ones first.
const SHOWN: usize = 12;

/// A fixture's file.
pub struct Fixture {
    name: &'static str,
    command: String,
}

impl Fixture {
    /// The fixture of a case with this command.
    pub fn new(name: &'static str, command: String) -> Self {
        Self { name, command }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/net")).join(format!("{}.json", self.name))
    }

    /// Compares, or records when updating.
    pub fn check(&self, found: &Outcome, processor: &str) {
        if snapshot::updating() {
            let recorded = std::fs::read_to_string(self.path()).unwrap_or_default();
            let mut hashes = same_bytes(&recorded, &found.weights_sha256);
            hashes.insert(processor.to_owned(), json!(found.weights_sha256));
            std::fs::write(self.path(), self.text(found, hashes)).unwrap();
            return;
        }
        let path = self.path();
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; {}", path.display(), snapshot::HOW_TO_UPDATE));
        let recorded: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut differences = Differences::default();
        for (name, list) in &found.lists {
            differences.lists(name, recorded[name].as_array().map_or(&[], Vec::as_slice), list);
        }
        assert!(
            differences.0.is_empty(),
            "{}: {} differences; {}\n  {}",
            self.name,
            differences.0.len(),
            snapshot::HOW_TO_UPDATE,
            differences.0[..differences.0.len().min(SHOWN)].join("\n  ")
        );
        match recorded["weights_sha256"][processor].as_str() {
            Some(hash) => assert_eq!(
                hash,
                found.weights_sha256,
                "{}: every number agrees to {RELATIVE}, but the weights are not the same bytes; {}",
                self.name,
                snapshot::HOW_TO_UPDATE
            ),
            None => snapshot::say(&format!(
                "net: {}: bytes not compared, the fixture has none for this processor ({processor})",
                self.name
            )),
        }
    }

    /// One element per line, so that a change can be read.
    fn text(&self, found: &Outcome, hashes: Map<String, Value>) -> String {
        let mut text = String::from("{\n");
        let mut put = |name: &str, value: &Value| writeln!(text, "  {}: {value},", json!(name)).unwrap();
        put("update", &json!(format!("{} net::cases::{}", snapshot::UPDATE, self.name)));
        put("run", &json!(self.command));
        put("weights_sha256", &Value::Object(hashes));
        for (name, list) in &found.lists {
            let lines: Vec<String> = list.iter().map(|value| format!("    {}", rounded(value))).collect();
            writeln!(text, "  {}: [\n{}\n  ],", json!(name), lines.join(",\n")).unwrap();
        }
        let end = text.trim_end().trim_end_matches(',').len();
        text.truncate(end);
        text + "\n}\n"
    }
}

/// The processors of a recorded fixture whose bytes are still these; those of others are dropped.
fn same_bytes(recorded: &str, hash: &str) -> Map<String, Value> {
    let recorded: Value = serde_json::from_str(recorded).unwrap_or_default();
    let mut hashes = recorded["weights_sha256"].as_object().cloned().unwrap_or_default();
    hashes.retain(|_, other| other == hash);
    hashes
}

/// Numbers with seven digits: further digits are rounding and would change with every update.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            json!(format!("{:.6e}", number.as_f64().unwrap()).parse::<f64>().unwrap())
        }
        Value::Array(values) => values.iter().map(rounded).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), rounded(value))).collect(),
        _ => value.clone(),
    }
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn lists(&mut self, name: &str, recorded: &[Value], found: &[Value]) {
        if recorded.len() != found.len() {
            self.0.push(format!("{name}: {} recorded, {} found", recorded.len(), found.len()));
        }
        if name == "parameters" {
            self.names(recorded, found);
            return;
        }
        for (at, (recorded, found)) in recorded.iter().zip(found).enumerate() {
            let label = ["at", "score"].iter().find_map(|key| recorded.get(key));
            let label = label.map_or_else(|| at.to_string(), |label| label.to_string().replace('"', ""));
            self.values(&format!("{name}, {label}"), recorded, found);
        }
    }

    /// Compares in any order: one additional name must not shift all others.
    fn names(&mut self, recorded: &[Value], found: &[Value]) {
        let only = |these: &[Value], those: &[Value], label: &str| -> Vec<String> {
            let only = these.iter().filter(|name| !those.contains(name));
            only.map(|name| format!("parameters: {name} only {label}")).collect()
        };
        self.0.extend(only(recorded, found, "recorded"));
        self.0.extend(only(found, recorded, "found"));
    }

    fn values(&mut self, path: &str, recorded: &Value, found: &Value) {
        match (recorded, found) {
            (Value::Number(a), Value::Number(b)) => {
                let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                let of_one = OF_ONE.iter().any(|key| path.contains(key));
                let scale = a.abs().max(b.abs()).max(if of_one { 1.0 } else { 0.0 });
                if (a - b).abs() > RELATIVE * scale {
                    self.0.push(format!("{path}: {a} recorded, {b} found"));
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (at, (a, b)) in a.iter().zip(b).enumerate() {
                    self.values(&format!("{path}, {at}"), a, b);
                }
            }
            (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
                for ((key, a), b) in a.iter().zip(b.values()) {
                    self.values(&format!("{path}, {key}"), a, b);
                }
            }
            _ if recorded == found => {}
            _ => self.0.push(format!("{path}: {recorded} recorded, {found} found")),
        }
    }
}

#[test]
fn an_update_keeps_the_processors_with_the_same_bytes() {
    let recorded = r#"{"weights_sha256": {"a": "11", "b": "22"}}"#;
    assert_eq!(same_bytes(recorded, "11").keys().collect::<Vec<_>>(), ["a"]);
    assert!(same_bytes("", "11").is_empty());
}

#[test]
fn differences_are_found_and_named() {
    let differences = |recorded: Value, found: Value| {
        let mut differences = Differences::default();
        differences.lists("steps", &[recorded], &[found]);
        differences.0
    };
    let step = |loss: f64| json!({ "at": "joint 1", "losses": { "class": loss } });
    assert!(differences(step(1.0), step(1.0 + 0.9 * RELATIVE)).is_empty());
    assert_eq!(differences(step(1.0), step(1.003)), ["steps, joint 1, losses, class: 1 recorded, 1.003 found"]);
    // Small losses are compared as strictly as large ones; cosines and scores by differences of one.
    assert_eq!(differences(step(1e-6), step(1.1e-6)).len(), 1);
    let cosine = |cosine: f64| json!({ "at": 2, "cosines": [cosine] });
    assert!(differences(cosine(1e-4), cosine(-1e-4)).is_empty());
    assert_eq!(differences(cosine(0.1), cosine(0.11)).len(), 1);
    assert_eq!(differences(json!({ "at": 2, "a": 1 }), json!({ "at": 2, "b": 1 })).len(), 1);
    let mut names = Differences::default();
    names.lists("parameters", &[json!("a [1]"), json!("b [1]")], &[json!("a [1]"), json!("c [1]")]);
    assert_eq!(names.0, [r#"parameters: "b [1]" only recorded"#, r#"parameters: "c [1]" only found"#]);
}
