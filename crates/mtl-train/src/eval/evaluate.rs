//! Scores of a run on its own test subset or on other data.

use std::path::{Path, PathBuf};

use mtl_data::loader;
use mtl_rng::Seed;
use serde::Serialize;

use super::leakage::{self, TrainedOn};
use super::score::{baselines, score};
use crate::data::{Plan, match_tasks, size_of, sources};
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
    /// What the user should know: the best checkpoint was damaged and another one is used; images were learnt from, and
    /// scores on them flatter.
    pub warning: Option<String>,
}

/// Scores a run on the held-out side of its own data, or on every image of the folder `data`. The baseline is learnt from
/// the run's own training labels, if its data is still there.
///
/// # Errors
/// Data that cannot be read or labels none of the model's tasks.
pub fn evaluate(run: &Path, data: Option<&Path>, device: Option<&str>) -> Result<Evaluation> {
    let trained = LoadedRun::load_with_inventory(run, device)?;
    let (config, schema) = (&trained.config, &trained.schema);
    let (flip_tta, batch) = (config.stages.joint.flip_tta, config.stages.joint.batch);
    let mut warnings: Vec<String> = trained.warning.iter().cloned().collect();
    let (columns, loader, constants, part, name) = match data {
        None => {
            let plan = Plan::new(config.clone())?;
            if plan.schema != *schema {
                let problem = "the data has changed since the run was trained, and its held-out side with it; \
                               score it as other data, by naming its folder";
                return Err(Error::DataMismatch(format!("{}: {problem}", run.display())));
            }
            let seen = TrainedOn::before(config)?;
            warnings.extend(seen.warning(&*plan.dataset, &plan.split.test, "held-out images")?);
            warnings.extend(seen.doubts("held-out images"));
            let test = plan.loader(&plan.split.test, batch, false, "test")?;
            let columns = plan.columns.iter().copied().map(Some).collect::<Vec<_>>();
            (columns, test, Some(baselines(&plan)?), "test", plan.schema.data.clone())
        }
        Some(path) => {
            let other = sources::open_like(config, schema, path)?;
            let columns = match_tasks(&schema.tasks, &*other)?;
            let rows: Vec<usize> = (0..other.len()).collect();
            let name = other.schema().name.clone();
            let own = Plan::new(config.clone()).ok().filter(|plan| plan.schema.tasks == schema.tasks);
            let unchanged = own.as_ref().is_some_and(|plan| plan.schema == *schema);
            let moved = if unchanged { None } else { leakage::moved(config, schema, path) };
            let own = moved.or(own);
            let seen = TrainedOn::of(config, schema, own.as_ref())?;
            let words = format!("images in {} are ones that", path.display());
            let flatters = seen.warning(&*other, &rows, &words)?;
            match flatters.or_else(|| leakage::own_folder(config, path)) {
                Some(warning) => warnings.push(warning),
                None => warnings.extend(seen.doubts(&format!("images in {}", path.display()))),
            }
            let loader = loader::Loader::new(other, rows, size_of(schema), loader::Config::plain(batch), Seed::new(0))?;
            let constants = own.map(|plan| baselines(&plan)).transpose()?;
            (columns, loader, constants, "all", name)
        }
    };
    let scores = score(&trained.model, &loader, &columns, constants.as_deref(), flip_tta, &trained.device)?;
    Ok(Evaluation {
        run: run.to_owned(),
        data: name,
        checkpoint: trained.checkpoint,
        part,
        images: loader.rows(),
        scores,
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
    })
}
