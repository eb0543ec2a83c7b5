//! The weights a run begins with, where another run has learnt them (`model.from`).
//!
//! Trunk and heads are taken from the other run's best checkpoint, and its VAE (or autoencoder) as far as this run has one;
//! a GAN is always trained from its own beginning. The first thing such a run saves is this start, so that it goes on
//! without the other run.

use std::collections::BTreeMap;
use std::path::Path;

use mtl_task::Task;
use mtl_tensor::Tensor;

use crate::config::{Config, Stage};
use crate::error::{Error, Result};
use crate::model::{ImageTask, Model};
use crate::plan::Plan;
use crate::seen::{LONGEST_CHAIN, Seen};
use crate::settings;
use crate::trained::Trained;

/// Differences that are listed; more are counted.
const LISTED: usize = 8;

/// What the user should know about the weights a run begins with.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Good to know.
    pub(crate) notes: Vec<String>,
    /// What may make the run worth less than it looks.
    pub(crate) warnings: Vec<String>,
}

/// Gives the model the weights its run begins with, if another run has learnt them.
///
/// # Errors
/// A run without a readable checkpoint; [`Error::Config`] listing every setting and tensor in which the two runs differ
/// that must be the same. Nothing has been changed then.
pub(crate) fn weights(plan: &Plan, model: &Model) -> Result<Start> {
    let mut start = Start::default();
    let Some(run) = &plan.config.model.from else {
        if !plan.runs(Stage::Joint) {
            start.warnings.push(untrained("this run has neither the stage \"joint\" nor `model.from`"));
        }
        return Ok(start);
    };
    let other = Trained::load(run, Some("cpu"))?;
    let values = other.model.values()?;
    let mut problems = settings_apart(plan, &other);
    let mut taken = BTreeMap::new();
    for part in ["trunk", "heads"] {
        match below(model, part, &values) {
            Ok(found) => taken.extend(found),
            Err(apart) => problems.extend(apart),
        }
    }
    let mut parts = vec!["trunk", "heads"];
    let image_parts = [
        ("vae", model.vae.is_some(), plan.runs(Stage::Vae) || matches!(model.image_task, Some(ImageTask::Vae))),
        ("autoencoder", matches!(model.image_task, Some(ImageTask::Autoencoder(_))), true),
    ];
    for (part, _, trained_here) in image_parts.into_iter().filter(|(_, here, _)| *here) {
        let conditions = [&plan.schema, &other.schema].map(|schema| schema.condition);
        let found = match conditions[0] == conditions[1] || part != "vae" {
            true => below(model, part, &values),
            false => Err(vec!["`model.condition` names another task".to_owned()]),
        };
        match found {
            Ok(found) => {
                parts.push(part);
                taken.extend(found);
            }
            Err(apart) if trained_here => start.notes.push(format!(
                "the {part} of {} is another ({}): it learns from its own beginning",
                run.display(),
                listed(&apart, 1)
            )),
            Err(apart) => {
                problems.push(format!(
                    "no stage here trains the VAE that `model.reconstruction = \"vae\"` asks for, and it cannot be taken \
                     over ({}): set it to \"none\", or name \"vae\" in `stages`",
                    listed(&apart, 2)
                ));
            }
        }
    }
    if !problems.is_empty() {
        let words = "that run and this one do not fit together";
        let all = listed(&problems, LISTED);
        return Err(Error::Config(format!("model.from = \"{}\": {words}: {all}", run.display())));
    }
    model.overwrite(&taken)?;
    let checkpoint = other.checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    start.notes.push(format!("{} begin as those of {} ({checkpoint})", parts.join(", "), run.display()));
    start.warnings.extend(other.warning.clone());
    start.warnings.extend(doubts(&other, run));
    // Equal names on equal sides of the same folder: what this run holds out, that one has held out.
    let same_sides = other.schema.sides_sha256 == plan.schema.sides_sha256
        && other.config.data.path == plan.config.data.path
        && other.config.data.sources == plan.config.data.sources
        && other.config.model.from.is_none();
    if !same_sides {
        let seen = Seen::before(&plan.config)?;
        start.warnings.extend(seen.warning(&*plan.dataset, &plan.split.test, "held-out images")?);
        start.warnings.extend(seen.doubts("held-out images"));
    }
    Ok(start)
}

fn untrained(why: &str) -> String {
    format!(
        "{why}: the trunk and the heads keep the random weights they begin with, and generators are trained on those. \
         That is a control experiment; `mtl train --from RUN` trains them on the trunk of another run"
    )
}

/// Whether a run is one to begin with.
fn doubts(other: &Trained, run: &Path) -> Option<String> {
    if other.config.stages.contains(&Stage::Joint) {
        let unfinished = other.stage < (Stage::Joint, true);
        return unfinished
            .then(|| format!("{} has not finished its joint stage: its trunk may have more to learn", run.display()));
    }
    // Its trunk is that of the run it began with, and so on back.
    let mut before = other.config.model.from.clone();
    for _ in 0..LONGEST_CHAIN {
        let Some(earlier) = before else {
            return Some(untrained(&format!("{} never trained its trunk, nor did a run it began with", run.display())));
        };
        match settings::read_resolved(&earlier.join("config.toml")) {
            Ok(config) if config.stages.contains(&Stage::Joint) => return None,
            Ok(config) => before = config.model.from,
            Err(_) => {
                let words = "is gone: whether it ever learnt cannot be told";
                return Some(format!("the trunk of {} is from {}, which {words}", run.display(), earlier.display()));
            }
        }
    }
    None
}

/// Settings that must be the same, each with both values where it is not.
fn settings_apart(plan: &Plan, other: &Trained) -> Vec<String> {
    let mut apart = Vec::new();
    let (here, there) = (&plan.schema, &other.schema);
    let mut same = |what: &str, there: String, here: String| {
        if there != here {
            apart.push(format!("{what} is {there} there and {here} here"));
        }
    };
    same("size", format!("{}x{}", there.height, there.width), format!("{}x{}", here.height, here.width));
    same("the number of channels", there.channels.to_string(), here.channels.to_string());
    let names = |tasks: &[Task]| tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
    same("the list of tasks", names(&there.tasks), names(&here.tasks));
    let words = |task: &Task| format!("{} {:?}", task.kind.name(), task.kind.classes());
    let head = |config: &Config, task: &Task| {
        config.heads.get(&task.name).cloned().unwrap_or_else(|| mtl_heads::Config::for_task(&task.kind))
    };
    for task in &here.tasks {
        if let Some(their) = there.tasks.iter().find(|their| their.name == task.name) {
            same(&format!("task `{}`", task.name), words(their), words(task));
            let heads = [head(&other.config, their), head(&plan.config, task)].map(|head| format!("{head:?}"));
            let [there, here] = heads;
            same(&format!("`heads.{}`", task.name), there, here);
        }
    }
    let trunk = |config: &Config| format!("{:?}", config.model.trunk);
    same("`model.trunk`", trunk(&other.config), trunk(&plan.config));
    apart
}

/// The values for everything the model has below `part`, or what is missing or of another shape.
fn below(
    model: &Model,
    part: &str,
    values: &BTreeMap<String, Tensor>,
) -> std::result::Result<BTreeMap<String, Tensor>, Vec<String>> {
    let (mut found, mut apart) = (BTreeMap::new(), Vec::new());
    for (name, var) in model.everything(&[part]) {
        match values.get(&name) {
            Some(value) if value.dims() == var.dims() => {
                found.insert(name, value.clone());
            }
            Some(value) => apart.push(format!("`{name}` is {:?} there and {:?} here", value.dims(), var.dims())),
            None => apart.push(format!("there is no `{name}` {:?} there", var.dims())),
        }
    }
    if apart.is_empty() { Ok(found) } else { Err(apart) }
}

fn listed(problems: &[String], most: usize) -> String {
    let shown = problems.iter().take(most).cloned().collect::<Vec<_>>().join("; ");
    match problems.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
