//! Merges preset, file and overrides into one [`Config`]; errors name file, line and column.
//!
//! Order: defaults, preset, file, then each `key.path=value`. An unknown key is an error with the nearest known key.

use std::path::Path;

use mtl_registry::{Entry, find, nearest};
use serde::Deserialize;
use toml::{Table, Value};

use super::{AUTO, Config, RECONSTRUCTION};
use crate::error::{Error, Origin, Result};

/// Named starting points, as TOML over the defaults.
pub const PRESETS: &[Entry<&str>] = &[
    Entry {
        name: "small",
        summary: "32x32, resnet xs, ends in about two minutes on two cores: what runs on the built-in scenes",
        item: include_str!("presets/small.toml"),
    },
    Entry {
        name: "standard",
        summary: "64x64, resnet s, batch norm, AdamW: what runs on a folder of images",
        item: include_str!("presets/standard.toml"),
    },
    Entry {
        name: "tutorial",
        summary: "convnet trunk and three heads (class, mask, image) with the sum of their losses, then a GAN; Adam",
        item: include_str!("presets/tutorial.toml"),
    },
];

/// Keys of `budget` that exclude each other.
const BUDGETS: [&str; 3] = ["steps", "epochs", "minutes"];
/// Keys of `data` that exclude each other.
const PLACES: [&str; 2] = ["path", "sources"];

/// Tables that hold exactly one entry, the name of a variant: another variant replaces what was there.
fn holds_a_variant(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path[..],
        ["balancer"]
            | ["model", "trunk" | "sharing"]
            | ["heads" | "objectives" | "generators", _]
            | ["stages", "joint", "optimizer"]
            | ["data", "sampling"]
    )
}

/// Merges `over` into `base`; tables are joined, everything else is replaced.
fn merge(base: &mut Table, over: Table, path: &mut Vec<String>) {
    for (key, value) in over {
        path.push(key.clone());
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => {
                // Of the three budgets the one given last counts.
                if path[..] == ["budget"] && over.keys().any(|key| BUDGETS.contains(&key.as_str())) {
                    base.retain(|key, _| !BUDGETS.contains(&key));
                }
                // So it does of the places of images; one layer that names both is told that it must not.
                if path[..] == ["data"] && PLACES.iter().filter(|key| over.contains_key(**key)).count() == 1 {
                    base.retain(|key, _| !PLACES.contains(&key));
                }
                if holds_a_variant(path) && over.keys().any(|variant| !base.contains_key(variant)) {
                    base.clear();
                }
                merge(base, over, path);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
        path.pop();
    }
}

/// Reads the settings of a run.
///
/// `preset` is one of [`PRESETS`]; `file` a TOML file; `overrides` are `key.path=value` with a TOML value (bare words
/// are taken as text).
///
/// # Errors
/// [`Error::Config`] or [`Error::UnknownName`] with the place and, where one is near, the key that was meant.
pub fn load(preset: &str, file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    resolved(unresolved(preset, file, overrides)?)
}

/// [`load`] without [`Config::resolve`], for settings that change before it.
///
/// # Errors
/// As [`load`].
pub fn unresolved(preset: &str, file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    let entry = find("preset", PRESETS, preset)?;
    let table = parse(entry.item, Origin::Preset(preset.to_owned()))?;
    check(&table).map_err(Origin::Preset(preset.to_owned()).error())?;
    layered(table, file, overrides)
}

/// Reads the settings of a run that takes its initial weights from the run `source`: the resolved settings `base` of that run
/// in place of a preset, with `model.init_from` naming it and its generators as stages (`auto` if it has none, or those that `auto`
/// is for its budget); then file and overrides as in [`load`].
///
/// # Errors
/// As [`load`].
pub fn load_from(source: &Path, base: Config, file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    resolved(unresolved_from(source, base, file, overrides)?)
}

/// [`load_from`] without [`Config::resolve`], for settings that change before it.
///
/// # Errors
/// As [`load`].
pub fn unresolved_from(source: &Path, base: Config, file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    let known = base.data.open.known.clone();
    let mut config = base;
    let default = mtl_model::objectives::Config::default();
    let trained = |name: &str| config.stages.runs(name);
    let named = |name: &str| config.objectives.values().any(|objective| objective.generator() == Some(name));
    if default.generator().is_some_and(|name| trained(name) && !named(name)) {
        // A stage of that run trained this generator, though no objective names it: it can be loaded.
        config.objectives.insert(RECONSTRUCTION.to_owned(), default);
    }
    let run: Vec<String> = config.stages.of_generators().map(str::to_owned).collect();
    // Those that its length decided are decided again by the length of the new run.
    config.stages.run = if run.is_empty() || config.has_auto_generators() { vec![AUTO.to_owned()] } else { run };
    config.model.init_from = Some(source.to_owned());
    let mut config = layered(parse(&to_toml(&config)?, Origin::file(source))?, file, overrides)?;
    config.data.open.known = known;
    Ok(config)
}

/// The settings of file and overrides alone, over the defaults: what the user has chosen.
///
/// # Errors
/// As [`load`].
pub fn chosen(file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    layered(Table::new(), file, overrides)
}

/// File and overrides over a table of settings.
fn layered(table: Table, file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    deserialize(layered_table(table, file, overrides)?).map_err(Origin::Merged.error())
}

fn resolved(mut config: Config) -> Result<Config> {
    config.resolve()?;
    Ok(config)
}

fn layered_table(mut table: Table, file: Option<&Path>, overrides: &[String]) -> Result<Table> {
    if let Some(file) = file {
        let unreadable = |error: std::io::Error| Origin::file(file).error()(format!("cannot be read: {error}"));
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        // Read on its own first: only the text itself can say line and column.
        if let Err(error) = toml::from_str::<Config>(&text) {
            return Err(at_place(file, &text, &error));
        }
        merge(&mut table, parse(&text, Origin::file(file))?, &mut Vec::new());
        check(&table).map_err(Origin::file(file).error())?;
    }
    let mut budget: Option<String> = None;
    for text in overrides {
        let over = override_table(text)?;
        let given = over.get("budget").and_then(Value::as_table).and_then(|budget| budget.keys().next());
        if let Some(key) = given.filter(|key| BUDGETS.contains(&key.as_str())) {
            let other = budget.get_or_insert_with(|| key.clone());
            if other != key {
                let problem = format!("budget.{other} is given too: give one of {}", BUDGETS.join(", "));
                return Err(Origin::Override(text.clone()).error()(problem));
            }
        }
        let mut merged = table.clone();
        merge(&mut merged, over, &mut Vec::new());
        check(&merged).map_err(Origin::Override(text.clone()).error())?;
        table = merged;
    }
    Ok(table)
}

/// Reads the resolved configuration a run folder keeps.
///
/// # Errors
/// As [`load`].
pub fn read_resolved(file: &Path) -> Result<Config> {
    let text = std::fs::read_to_string(file).map_err(Error::io("cannot read", file))?;
    let mut config: Config = toml::from_str(&text).map_err(|error| at_place(file, &text, &error))?;
    config.resolve()?;
    Ok(config)
}

/// The configuration as TOML, every key written out.
///
/// # Errors
/// A value TOML cannot hold.
pub fn to_toml(config: &Config) -> Result<String> {
    let failed = |error: toml::ser::Error| Origin::Merged.error()(format!("cannot be written as TOML: {error}"));
    toml::to_string_pretty(config).map_err(failed)
}

fn parse(text: &str, origin: Origin) -> Result<Table> {
    text.parse::<Table>().map_err(|error| origin.error()(error.message().to_owned()))
}

fn deserialize(table: Table) -> std::result::Result<Config, String> {
    Config::deserialize(table).map_err(|error| with_suggestion(error.message()))
}

fn check(table: &Table) -> std::result::Result<(), String> {
    deserialize(table.clone()).map(|_| ())
}

/// `a.b=c` as a table.
fn override_table(text: &str) -> Result<Table> {
    let wrong = |problem: &str| {
        let problem = format!("{problem}; write it as key.path=value, for example stages.joint.batch=32");
        Origin::Override(text.to_owned()).error()(problem)
    };
    let (path, value) = text.split_once('=').ok_or_else(|| wrong("`=` is missing"))?;
    let keys: Vec<&str> = path.trim().split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(wrong("the key has an empty part"));
    }
    let value = value.trim();
    let parsed = format!("v = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    // A bare word is a string; a variant of a one-entry table may be named without its settings.
    let mut value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    if holds_a_variant(&owned)
        && let Value::String(name) = &value
    {
        value = Value::Table(Table::from_iter([(name.clone(), Value::Table(Table::new()))]));
    }
    // A preset of the augmentation stands for all of its settings.
    if let (["data", "augment"], Value::String(name)) = (&keys[..], &value) {
        let preset = (find("augmentation", mtl_data::augment::PRESETS, name)?.item)();
        value = Value::try_from(preset).map_err(|error| wrong(&error.to_string()))?;
    }
    let mut table = Table::new();
    for key in keys.iter().rev() {
        value = Value::Table(Table::from_iter([((*key).to_owned(), value)]));
    }
    if let Value::Table(inner) = value {
        table = inner;
    }
    Ok(table)
}

/// The error at its line and column, with the line itself and a suggestion.
fn at_place(file: &Path, text: &str, error: &toml::de::Error) -> Error {
    let message = with_suggestion(error.message());
    let Some(span) = error.span() else {
        return Origin::file(file).error()(message);
    };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let origin = Origin::File { path: file.to_owned(), at: Some((line, column)) };
    origin.error()(format!("{message}\n  {shown}\n  {}^", " ".repeat(column - 1)))
}

/// Adds the nearest expected name to "unknown field `x`, expected one of `a`, `b`". serde has no type for this error: the names
/// are in its message only.
fn with_suggestion(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((wrong, expected)) if message.starts_with("unknown") => match nearest(wrong, expected.iter().copied()) {
            Some(name) => format!("{message}: did you mean `{name}`?"),
            None => message.to_owned(),
        },
        _ => plain(message),
    }
}

/// Numbers by what they are to a user and not to the compiler.
fn plain(message: &str) -> String {
    let Some((before, kind)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let kind = match kind {
        "usize" | "u64" | "u32" => "a whole number, 0 or above",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        other => other,
    };
    format!("{before}expected {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_loads_and_survives_being_written() {
        for preset in PRESETS {
            let config = load(preset.name, None, &[]).unwrap();
            let text = to_toml(&config).unwrap();
            assert_eq!(toml::from_str::<Config>(&text).unwrap(), config, "{}", preset.name);
        }
    }

    #[test]
    fn overrides_reach_into_tables_and_change_variants() {
        let set = |texts: &[&str]| load("standard", None, &texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let config = set(&["stages.joint.batch=7", "seed=3", "balancer=dwa", "model.trunk.resnet.preset=m"]).unwrap();
        assert_eq!((config.stages.joint.batch, config.seed, config.balancer.name()), (7, 3, "dwa"));
        let config = set(&["data.augment=none", "data.augment.hflip=0.5"]).unwrap();
        assert_eq!((config.data.augment.hflip, config.data.augment.shift), (0.5, 0.0));
        let config = set(&["model.trunk=convnet"]).unwrap();
        assert!(matches!(config.model.trunk, mtl_trunk::Config::Convnet(_)));
        let config = set(&["data.sampling=temperature"]).unwrap();
        assert_eq!(config.data.sampling, mtl_data::Sampling::Temperature { t: 2.0 });
        let config = set(&["data.sampling.temperature.t=5", "data.sampling=uniform"]).unwrap();
        assert_eq!(config.data.sampling, mtl_data::Sampling::Uniform {});
        // Of the places of images the last one counts.
        let config = set(&["data.path=a", "data.sources=[{path=\"b\"}, {path=\"c\", tasks=[\"mask\"]}]"]).unwrap();
        assert_eq!((config.data.path, config.data.sources.len()), (None, 2));
        let config = set(&["data.sources=[{path=\"b\"}]", "data.path=a"]).unwrap();
        assert_eq!((config.data.path, config.data.sources.len()), (Some("a".into()), 0));
        let message = set(&["budget.steps=3", "budget.minutes=1"]).unwrap_err().to_string();
        assert_eq!(message, "budget.minutes=1: budget.steps is given too: give one of steps, epochs, minutes");
        assert_eq!(set(&["budget.steps=3", "budget.steps=4"]).unwrap().budget.steps, Some(4));
        for (text, expected) in [
            ("data.sampling=unifrom", "did you mean `uniform`"),
            ("data.sampling.temperature.T=2", "did you mean `t`"),
            ("data.sources=[{}]", "missing field `path`"),
            ("stages.joint.bach=7", "did you mean `batch`"),
            ("stages.gan.bach=7", "did you mean `batch`"),
            ("stges.joint.batch=7", "did you mean `stages`"),
            ("balancer=pcgard", "did you mean `pcgrad`"),
            ("stages.joint.batch", "`=` is missing"),
            ("stages.joint.batch=many", "invalid type: string \"many\", expected a whole number, 0 or above"),
        ] {
            let message = set(&[text]).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn auto_is_resolved_by_the_length_of_the_run() {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let stages = |texts: &[&str]| load("standard", None, &set(texts)).unwrap().stages.run.join(" ");
        for (texts, expected) in [
            (&[][..], "joint vae gan"),
            (&["budget.minutes=4.9"], "joint vae gan"),
            (&["budget.minutes=5"], "joint flow"),
            (&["budget.steps=999"], "joint vae gan"),
            (&["budget.steps=1000"], "joint flow"),
            (&["budget.minutes=20", "stages.run=[\"joint\", \"vae\"]"], "joint vae"),
            (&["stages.run=[\"joint\", \"gan\", \"auto\"]"], "joint gan vae"),
        ] {
            assert_eq!(stages(texts), expected, "{texts:?}");
        }
        // A new run on a trained encoder chooses again, unless its generators were named.
        let from = |base: &[&str], texts: &[&str]| {
            let base = load("small", None, &set(base)).unwrap();
            load_from(Path::new("run"), base, None, &set(texts)).unwrap().stages.run.join(" ")
        };
        assert_eq!(from(&[], &[]), "vae gan");
        assert_eq!(from(&[], &["budget.minutes=20"]), "flow");
        assert_eq!(from(&["stages.run=[\"joint\"]"], &["budget.minutes=20"]), "flow");
        assert_eq!(from(&["stages.run=[\"joint\", \"vae\"]"], &["budget.minutes=20"]), "vae");
    }

    #[test]
    fn files_are_pointed_into() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.toml");
        std::fs::write(&file, "seed = 1\n\n[stages.joint]\nbatch = 8\n  patence = 1\n").unwrap();
        let error = load("standard", Some(&file), &[]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("run.toml:5:3") && message.contains("did you mean `patience`"), "{message}");
        assert_eq!(error.kind(), crate::error::ErrorKind::Configuration);
        std::fs::write(&file, "seed = \n").unwrap();
        assert!(load("standard", Some(&file), &[]).unwrap_err().to_string().contains("run.toml:1:"));
        assert!(load("standrd", None, &[]).unwrap_err().to_string().contains("did you mean `standard`"));
    }
}
