//! The registry of stages: `joint` trains encoder, heads and objectives; the name of a generator trains that generator. A new
//! kind of stage is one file with a type that implements [`Stage`], and one line in [`STAGES`].

use std::collections::BTreeSet;

use mtl_registry::{Entry, UnknownName};

use super::stage::{RunContext, Stage};
use super::{generator, joint};
use crate::config::{Config, JOINT};
use crate::error::Result;

/// Builds the stage of that name.
pub type BuildStage = fn(name: &str, run: &mut RunContext) -> Result<Box<dyn Stage>>;

/// Stages with a name of their own. Every other name is that of a generator.
pub const STAGES: &[Entry<BuildStage>] =
    &[Entry { name: JOINT, summary: "encoder, heads and objectives together", item: joint::build }];

/// Checks the names in `stages.run` and of the tables `[stages.NAME]`.
///
/// # Errors
/// A name that is neither a stage of [`STAGES`] nor a generator.
pub(super) fn check(config: &Config) -> Result<()> {
    let own = || STAGES.iter().map(|entry| entry.name);
    let kinds = || mtl_gen::GENERATORS.iter().map(|entry| entry.name);
    let generator = |name: &str| config.generators.contains_key(name);
    let known = || own().chain(config.generators.keys().map(String::as_str)).chain(kinds());
    let stage = config.stages.run.iter().find(|name| !generator(name) && own().all(|own| own != **name));
    let table =
        config.stages.settings.keys().find(|name| !generator(name) && own().chain(kinds()).all(|own| own != **name));
    match stage.or(table) {
        Some(name) => Err(UnknownName::new("stage", name, known().collect::<BTreeSet<_>>()).into()),
        None => Ok(()),
    }
}

/// The stage of that name.
///
/// # Errors
/// Settings that do not fit the model.
pub(super) fn build(name: &str, run: &mut RunContext) -> Result<Box<dyn Stage>> {
    let own = STAGES.iter().find(|entry| entry.name == name).map(|entry| entry.item);
    own.unwrap_or(generator::build as BuildStage)(name, run)
}
