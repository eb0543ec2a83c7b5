//! Layers: the crates that each crate may import.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Each workspace crate with the workspace crates it may import. A new crate needs a new line.
const LAYERS: &[(&str, &[&str])] = &[
    ("mtl-rng", &[]),
    ("mtl-registry", &[]),
    ("mtl-hub", &["mtl-registry"]),
    ("mtl-task", &[]),
    ("mtl-metrics", &["mtl-rng", "mtl-task"]),
    ("mtl-balance", &["mtl-rng", "mtl-registry"]),
    ("mtl-tensor", &["mtl-rng"]),
    ("mtl-data", &["mtl-rng", "mtl-registry", "mtl-task"]),
    ("mtl-trunk", &["mtl-rng", "mtl-registry", "mtl-tensor"]),
    ("mtl-heads", &["mtl-rng", "mtl-registry", "mtl-task", "mtl-metrics", "mtl-tensor", "mtl-trunk"]),
    ("mtl-gen", &["mtl-rng", "mtl-registry", "mtl-task", "mtl-metrics", "mtl-tensor", "mtl-trunk"]),
    (
        "mtl-model",
        &[
            "mtl-rng",
            "mtl-registry",
            "mtl-task",
            "mtl-metrics",
            "mtl-balance",
            "mtl-tensor",
            "mtl-trunk",
            "mtl-heads",
            "mtl-gen",
        ],
    ),
    ("mtl-train", &["*"]),
    ("mtl-experiment", &["mtl-train", "mtl-model", "mtl-metrics"]),
    ("mtl-cli", &["*", "mtl-train", "mtl-experiment", "mtl-hub"]),
    ("mtl-bench", &["*", "mtl-train"]),
    ("xtask", &["mtl-hub"]),
];

/// Crates that `*` leaves out: the last layers, and the crate with a socket.
const LAST: &[&str] = &["mtl-train", "mtl-experiment", "mtl-cli", "mtl-bench", "xtask", "mtl-hub"];

/// Crates without tensors, not even in their tests.
const WITHOUT_TENSORS: &[&str] = &["mtl-metrics", "mtl-balance", "mtl-data"];

/// Packages restricted to some crates, with those crates.
const RESERVED: &[(&str, &[&str])] = &[
    ("candle-core", &["mtl-tensor"]),
    ("candle-nn", &["mtl-tensor"]),
    ("anyhow", &["mtl-cli", "mtl-bench", "xtask"]),
    ("clap", &["mtl-cli", "mtl-bench", "xtask"]),
    ("ureq", &["mtl-hub"]),
    ("hf-hub", &["mtl-hub"]),
    ("candle-datasets", &["mtl-hub"]),
];

/// The used part of the output of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none.
    kind: Option<String>,
}

/// One message per forbidden import. Tests may also import crates of the same layer (a generator's test imports the built-in
/// scenes), but never the trainer or the program.
pub fn check(metadata: &Metadata) -> Vec<String> {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(allowed) = layers.get(name) else {
            problems
                .push(format!("{name} has no line in xtask/src/tidy/layers.rs: add one with the crates it may import"));
            continue;
        };
        let any = allowed.contains(&"*");
        for Dependency { name: dependency, kind } in &package.dependencies {
            let dependency = dependency.as_str();
            // The trainer may import all layers above it; tests may import crates of the same layer.
            let wide = (any || kind.as_deref() == Some("dev")) && !LAST.contains(&dependency);
            let wide = wide && !(dependency == "mtl-tensor" && WITHOUT_TENSORS.contains(&name));
            if layers.contains_key(dependency) && !allowed.contains(&dependency) && !wide {
                problems.push(format!("{name} imports {dependency}, which is not above it"));
            }
            if let Some((_, users)) =
                RESERVED.iter().find(|(reserved, users)| *reserved == dependency && !users.contains(&name))
            {
                problems.push(format!("{name} names {dependency}, which only {} may", users.join(" and ")));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|name| Dependency { name: (*name).into(), kind: None }).collect();
        Package { name: name.into(), dependencies }
    }

    #[test]
    fn imports_against_the_flow_are_found() {
        let check = |packages| check(&Metadata { packages });
        assert_eq!(
            check(vec![package("mtl-heads", &["mtl-trunk", "serde"]), package("mtl-cli", &["mtl-train", "mtl-gen"])]),
            Vec::<String>::new()
        );
        assert_eq!(check(vec![package("mtl-train", &["mtl-gen", "mtl-data"])]), Vec::<String>::new());
        assert_eq!(check(vec![package("mtl-cli", &["mtl-experiment"])]), Vec::<String>::new());
        assert_eq!(check(vec![package("mtl-experiment", &["mtl-train", "mtl-model"])]), Vec::<String>::new());
        assert_eq!(check(vec![package("mtl-cli", &["mtl-hub"]), package("mtl-hub", &["ureq"])]), Vec::<String>::new());
        for (name, dependency) in [
            ("mtl-trunk", "mtl-heads"),
            ("mtl-heads", "mtl-gen"),
            ("mtl-heads", "mtl-data"),
            ("mtl-train", "mtl-cli"),
            ("mtl-train", "mtl-bench"),
            ("mtl-train", "mtl-experiment"),
            ("mtl-experiment", "mtl-cli"),
            ("mtl-experiment", "mtl-data"),
            ("mtl-bench", "mtl-experiment"),
            ("mtl-balance", "mtl-tensor"),
            ("mtl-data", "mtl-tensor"),
            ("mtl-trunk", "candle-core"),
            ("mtl-train", "anyhow"),
            ("xtask", "mtl-data"),
            ("xtask", "ureq"),
            ("mtl-train", "mtl-hub"),
            ("mtl-hub", "mtl-data"),
            ("newcomer", "serde"),
        ] {
            assert_eq!(check(vec![package(name, &[dependency])]).len(), 1, "{name} {dependency}");
        }
        let mut tests = package("mtl-gen", &["mtl-data", "mtl-train"]);
        tests.dependencies.iter_mut().for_each(|dependency| dependency.kind = Some("dev".into()));
        assert_eq!(check(vec![tests]), ["mtl-gen imports mtl-train, which is not above it"]);
        let mut tests = package("mtl-data", &["mtl-task", "mtl-tensor"]);
        tests.dependencies.iter_mut().for_each(|dependency| dependency.kind = Some("dev".into()));
        assert_eq!(check(vec![tests]), ["mtl-data imports mtl-tensor, which is not above it"]);
    }
}
