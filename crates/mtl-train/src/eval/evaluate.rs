//! Scores of a run on its own test subset or on other data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_data::{Dataset, Loader, loader};
use mtl_metrics::Baseline;
use mtl_model::Schema;
use mtl_rng::Seed;
use serde::Serialize;

use super::leakage::{self, TrainedOn};
use super::score::{baselines, score};
use crate::config::Config;
use crate::data::{Plan, identity, size_of, sources};
use crate::error::{Error, Result};
use crate::record::TaskScores;
use crate::store::LoadedRun;

/// Scores of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The run folder.
    pub run: PathBuf,
    /// The data set's name.
    pub data: String,
    /// The checkpoint that was scored.
    pub checkpoint: PathBuf,
    /// `test` for the held-out side of the run's own data, `all` for every image of other data.
    pub part: &'static str,
    /// Images scored.
    pub images: usize,
    /// Scores and baselines of each task that has labels.
    pub scores: Vec<TaskScores>,
    /// How the data was read, and in which classes it differs from the model.
    pub notes: Vec<String>,
    /// What the user should know: the best checkpoint was damaged and another one is used; images were learnt from, and
    /// scores on them flatter.
    pub warning: Option<String>,
}

/// Scores a run on the held-out side of its own data, or on every image of the folder `data`. A folder with the content of the
/// run's own data, if that is gone, takes its place. Classes of other data are matched
/// with the model's by name ([`mtl_data::MatchedDataset`]). The baseline is computed from the run's own training labels, if its
/// data is still there.
///
/// # Errors
/// Data that cannot be read or labels none of the model's tasks.
pub fn evaluate(run: &Path, data: Option<&Path>, device: Option<&str>) -> Result<Evaluation> {
    let trained = LoadedRun::load_with_inventory(run, device)?;
    let (config, schema) = (&trained.config, &trained.schema);
    let Scored { part, data, loader, columns, constants, notes, mut warnings } = match data {
        None => {
            let plan = own_plan(run, &trained)?;
            held_out(config, &plan)?
        }
        Some(path) => {
            // A folder in place of the run's own, which is gone.
            let gone = !identity::gone(config).is_empty();
            let moved = if gone { identity::moved(config, schema, path) } else { None };
            match moved {
                Some(plan) => {
                    let mut scored = held_out(config, &plan)?;
                    let place = path.display();
                    scored.notes.push(format!("{place} holds the data of the run: its held-out images are scored"));
                    scored
                }
                None => other(config, schema, path)?,
            }
        }
    };
    warnings.splice(0..0, trained.warning.iter().cloned());
    let flip_tta = config.stages.joint.flip_tta;
    let scores = score(&trained.model, &loader, &columns, constants.as_deref(), flip_tta, &trained.device)?;
    Ok(Evaluation {
        run: run.to_owned(),
        data,
        checkpoint: trained.checkpoint,
        part,
        images: loader.rows(),
        scores,
        notes,
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
    })
}

/// The images and tasks to score.
struct Scored {
    part: &'static str,
    data: String,
    loader: Loader,
    columns: Vec<Option<usize>>,
    constants: Option<Vec<Baseline>>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

/// The data of a run, unchanged since its training.
///
/// # Errors
/// Data that is gone or has changed.
pub(super) fn own_plan(run: &Path, trained: &LoadedRun) -> Result<Plan> {
    let (config, schema) = (&trained.config, &trained.schema);
    identity::check_present(run, config)?;
    let mut plan = Plan::new(config.clone())?;
    identity::adopt(&mut plan, schema, config.data.open.known.as_deref()).map_err(|differences| {
        let problem = format!(
            "the data has changed since the run was trained, and its held-out side with it: {differences}; score it as other \
             data, by naming its folder"
        );
        Error::DataMismatch(format!("{}: {problem}", run.display()))
    })?;
    Ok(plan)
}

/// The held-out images of a run's own data.
fn held_out(config: &Config, plan: &Plan) -> Result<Scored> {
    let seen = TrainedOn::before(config)?;
    let mut warnings: Vec<String> =
        seen.warning(&*plan.dataset, &plan.split.test, "held-out images")?.into_iter().collect();
    warnings.extend(seen.doubts("held-out images"));
    Ok(Scored {
        part: "test",
        data: plan.schema.data.clone(),
        loader: plan.loader(&plan.split.test, config.stages.joint.batch, "test")?,
        columns: plan.columns.iter().copied().map(Some).collect(),
        constants: Some(baselines(plan)?),
        notes: Vec::new(),
        warnings,
    })
}

/// All images of another folder, for the classes that the model knows.
fn other(config: &Config, schema: &Schema, path: &Path) -> Result<Scored> {
    let other = Arc::new(sources::open_like(config, schema, path)?);
    let notes = other.differences().iter().cloned().chain(other.reading().lines()).collect();
    let columns = other.columns();
    let rows: Vec<usize> = (0..other.len()).collect();
    let own = Plan::new(config.clone()).ok().filter(|plan| plan.schema.tasks == schema.tasks);
    let unchanged = own.as_ref().is_some_and(|plan| plan.schema == *schema);
    let moved = if unchanged { None } else { identity::moved(config, schema, path) };
    let own = moved.or(own);
    let seen = TrainedOn::of(config, schema, own.as_ref())?;
    let place = format!("images in {}", path.display());
    let words = format!("{place} are ones that");
    let flatters = match seen.warning(&*other, &rows, &words)?.or_else(|| leakage::own_folder(config, path)) {
        Some(warning) => Some(warning),
        None => seen.suspicion(&*other, &rows, &words)?,
    };
    let mut warnings = flatters.map_or_else(|| seen.doubts(&place).collect(), |warning| vec![warning]);
    let generated = |row: &&usize| other.is_generated(**row);
    let drawn = rows.iter().filter(generated).count();
    if drawn > 0 {
        warnings.push(format!(
            "{drawn} of the {} images are generated: scores on them say little about real ones",
            rows.len()
        ));
    }
    let data = other.schema().name.clone();
    let plain = loader::Config::plain(config.stages.joint.batch);
    let loader = Loader::new(other, rows, size_of(schema), plain, Seed::new(0))?;
    let constants = own.map(|plan| baselines(&plan)).transpose()?;
    Ok(Scored { part: "all", data, loader, columns, constants, notes, warnings })
}
