//! Initial weights from another run (`model.init_from`).
//!
//! Encoder and heads are loaded from the other run's best checkpoint, and its generators and autoencoder as far as this run
//! has them; a generator that a stage trains without an objective of the joint stage starts from its own initial weights. The
//! first checkpoint of such a run is this start, so that the run does not depend on the other one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mtl_model::Model;
use mtl_task::{Task, TaskKind};
use mtl_tensor::Tensor;

use crate::config::{Config, JOINT, SourceFolder};
use crate::data::Plan;
use crate::error::{Error, Result};
use crate::eval::leakage::{LONGEST_CHAIN, TrainedOn};
use crate::store::{LoadedRun, read_config};

/// Differences that are listed; more are counted.
const LISTED: usize = 8;

/// Messages about the initial weights.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Loads the model's initial weights, if the configuration names a run to take them from.
///
/// # Errors
/// A run without a readable checkpoint; [`Error::Config`] listing every setting and tensor in which the two runs differ
/// that must be the same. Nothing has been changed then.
pub(super) fn load_weights(plan: &Plan, model: &Model) -> Result<Loaded> {
    let mut start = Loaded::default();
    let Some(run) = &plan.config.model.init_from else {
        if !plan.config.runs_joint() {
            start.warnings.push(untrained("this run has neither the stage \"joint\" nor `model.init_from`"));
        }
        return Ok(start);
    };
    let other = LoadedRun::load(run, Some("cpu"))?;
    let values = other.model.values()?;
    let mut problems = settings_apart(plan, &other);
    let mut taken = BTreeMap::new();
    for part in ["trunk", "heads"] {
        match below(model, part, &values) {
            Ok(found) => taken.extend(found),
            Err(apart) => problems.extend(apart),
        }
    }
    let mut parts = vec!["trunk".to_owned(), "heads".to_owned()];
    for part in optional_parts(plan, model) {
        let (part, trained_here) = (&*part.prefix, part.trained_here);
        let conditions = [&plan.schema, &other.schema].map(|schema| schema.condition);
        let found = match conditions[0] == conditions[1] || !model.generators.contains_key(part) {
            true => below(model, part, &values),
            false => Err(vec!["`model.condition_on` names another task".to_owned()]),
        };
        match found {
            Ok(found) => {
                parts.push(part.to_owned());
                taken.extend(found);
            }
            Err(apart) if trained_here => start.notes.push(format!(
                "the {part} of {} is another ({}): it starts from its own initial weights",
                run.display(),
                listed(&apart, 1)
            )),
            Err(apart) => {
                problems.push(format!(
                    "no stage here trains the generator `{part}` of an objective, and it cannot be loaded ({}): set the \
                     objective to `none` (objectives.reconstruction=none), or name \"{part}\" in stages.run",
                    listed(&apart, 2)
                ));
            }
        }
    }
    if !problems.is_empty() {
        let words = "they do not match";
        let all = listed(&problems, LISTED);
        return Err(Error::setting("model.init_from", format!("{} and this run: {words}: {all}", run.display())));
    }
    model.overwrite(&taken)?;
    let checkpoint = other.checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    start.notes.push(format!("{} start from the weights of {} ({checkpoint})", parts.join(", "), run.display()));
    start.warnings.extend(other.warning.clone());
    start.warnings.extend(doubts(&other, run));
    // Equal names in equal subsets of the same folder: the images that this run holds out, that one has held out.
    let same_split = other.schema.split_sha256 == plan.schema.split_sha256
        && other.config.data.path == plan.config.data.path
        && folders(&other.config) == folders(&plan.config)
        && other.config.model.init_from.is_none();
    if !same_split {
        let seen = TrainedOn::before(&plan.config)?;
        start.warnings.extend(seen.warning(&*plan.dataset, &plan.split.test, "held-out images")?);
        start.warnings.extend(seen.doubts("held-out images"));
    }
    Ok(start)
}

/// The folders of a run and the tasks taken from each; the options they are opened with do not change their rows' subsets.
fn folders(config: &Config) -> Vec<SourceFolder> {
    config.data.sources.iter().map(|source| SourceFolder { open: None, ..source.clone() }).collect()
}

/// A part of the model besides encoder and heads that is loaded if the other run has it.
struct OptionalPart {
    prefix: String,
    /// Whether a stage of this run trains it.
    trained_here: bool,
}

fn optional_parts(plan: &Plan, model: &Model) -> Vec<OptionalPart> {
    let unlabelled = model.objectives.iter().filter(|objective| objective.labelled().is_none());
    let trained_jointly: BTreeSet<&str> = unlabelled.map(|objective| objective.prefix()).collect();
    // A generator that can be an objective of the joint stage (a VAE) depends on the encoder only: its weights are loaded. One
    // that cannot (a GAN) starts from its own initial weights.
    let loadable = model.generators.iter().filter(|(_, generator)| generator.joint().is_some());
    let all: BTreeSet<&str> = loadable.map(|(name, _)| name.as_str()).chain(trained_jointly.iter().copied()).collect();
    let trained_here = |prefix: &str| plan.config.stages.runs(prefix) || trained_jointly.contains(prefix);
    all.into_iter()
        .map(|prefix| OptionalPart { prefix: prefix.to_owned(), trained_here: trained_here(prefix) })
        .collect()
}

fn untrained(why: &str) -> String {
    format!(
        "{why}: encoder and heads keep their random initial weights, and generators are trained on those. This is a control \
         experiment; model.init_from = RUN uses the encoder of another run"
    )
}

/// Doubts about a run that weights are taken from.
fn doubts(other: &LoadedRun, run: &Path) -> Option<String> {
    if other.config.runs_joint() {
        let unfinished = !other.passed(JOINT);
        return unfinished
            .then(|| format!("{} has not finished its joint stage: its encoder may be undertrained", run.display()));
    }
    // Its encoder is that of the run its weights are from, and so on back.
    let mut before = other.config.model.init_from.clone();
    for _ in 0..LONGEST_CHAIN {
        let Some(earlier) = before else {
            let why = format!("{} never trained its encoder, nor did a run its weights are from", run.display());
            return Some(untrained(&why));
        };
        match read_config(&earlier) {
            Ok(config) if config.runs_joint() => return None,
            Ok(config) => before = config.model.init_from,
            Err(_) => {
                return Some(format!(
                    "the encoder of {} is from {}, which is gone: whether it was ever trained is unknown",
                    run.display(),
                    earlier.display()
                ));
            }
        }
    }
    None
}

/// Settings that must be the same, each with both values where it is not.
fn settings_apart(plan: &Plan, other: &LoadedRun) -> Vec<String> {
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
    let words = |task: &Task| match &task.kind {
        TaskKind::Dense { unit } | TaskKind::Regression { unit } => format!("{} {unit:?}", task.kind.name()),
        kind => format!("{} {:?}", kind.name(), kind.classes()),
    };
    let head = |config: &Config, task: &Task| config.model().head(task);
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
            None => apart.push(format!("`{name}` {:?} is missing there", var.dims())),
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
