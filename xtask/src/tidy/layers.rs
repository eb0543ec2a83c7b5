//! Which crate may import which: data flows one way.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Each crate of ours with those of ours it may import. A new crate is a new line.
const LAYERS: &[(&str, &[&str])] = &[
    ("mtl-rng", &[]),
    ("mtl-registry", &[]),
    ("mtl-task", &[]),
    ("mtl-metrics", &["mtl-task"]),
    ("mtl-balance", &["mtl-rng", "mtl-registry"]),
    ("mtl-tensor", &["mtl-rng"]),
    ("mtl-data", &["mtl-rng", "mtl-registry", "mtl-task", "mtl-tensor"]),
    ("mtl-trunk", &["mtl-rng", "mtl-registry", "mtl-tensor"]),
    ("mtl-heads", &["mtl-rng", "mtl-registry", "mtl-task", "mtl-metrics", "mtl-tensor", "mtl-trunk"]),
    ("mtl-gen", &["mtl-rng", "mtl-registry", "mtl-task", "mtl-metrics", "mtl-tensor", "mtl-trunk"]),
    ("mtl-train", &["*"]),
    ("mtl-cli", &["*", "mtl-train"]),
    ("mtl-bench", &["*", "mtl-train"]),
    ("xtask", &[]),
];

/// Crates that `*` means: all but the last layers.
const LAST: &[&str] = &["mtl-train", "mtl-cli", "mtl-bench", "xtask"];

/// Packages only some crates may name in their Cargo.toml, with those crates.
const RESERVED: &[(&str, &[&str])] = &[
    ("candle-core", &["mtl-tensor"]),
    ("candle-nn", &["mtl-tensor"]),
    ("anyhow", &["mtl-cli", "mtl-bench", "xtask"]),
    ("clap", &["mtl-cli", "mtl-bench", "xtask"]),
    ("ureq", &["xtask"]),
];

/// What `cargo metadata` prints, as far as it matters here.
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
    /// `dev`, `build`, or nothing.
    kind: Option<String>,
}

/// A sentence for each import that runs against the flow. Tests may look sideways (a generator's at the built-in
/// scenes), but nobody's look at the program or its trainer.
pub fn check(metadata: &Metadata) -> Vec<String> {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(allowed) = layers.get(name) else {
            problems.push(format!("{name} has no line in xtask/src/tidy/layers.rs: say what it may import"));
            continue;
        };
        let any = allowed.contains(&"*");
        for Dependency { name: dependency, kind } in &package.dependencies {
            let dependency = dependency.as_str();
            // The trainer sees all layers above it, and tests may look sideways.
            let wide = (any || kind.as_deref() == Some("dev")) && !LAST.contains(&dependency);
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
        for (name, dependency) in [
            ("mtl-trunk", "mtl-heads"),
            ("mtl-heads", "mtl-gen"),
            ("mtl-heads", "mtl-data"),
            ("mtl-train", "mtl-cli"),
            ("mtl-train", "mtl-bench"),
            ("mtl-balance", "mtl-tensor"),
            ("mtl-trunk", "candle-core"),
            ("mtl-train", "anyhow"),
            ("xtask", "mtl-data"),
            ("newcomer", "serde"),
        ] {
            assert_eq!(check(vec![package(name, &[dependency])]).len(), 1, "{name} {dependency}");
        }
        let mut tests = package("mtl-gen", &["mtl-data", "mtl-train"]);
        tests.dependencies.iter_mut().for_each(|dependency| dependency.kind = Some("dev".into()));
        assert_eq!(check(vec![tests]), ["mtl-gen imports mtl-train, which is not above it"]);
    }
}
