//! A finished (or unfinished) run opened for use, and its scores.

use std::path::{Path, PathBuf};

use mtl_data::loader;
use mtl_rng::Seed;
use mtl_tensor::Device;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Stage};
use crate::error::{Error, Result, words};
use crate::evaluate::{baselines, match_tasks, score};
use crate::event::TaskScores;
use crate::model::Model;
use crate::plan::{Plan, RunSchema};
use crate::seen::{self, Seen};
use crate::{run_dir, settings, sources};

/// A run's model with the weights it is to be used with.
#[derive(Debug)]
pub struct Trained {
    /// The settings it was trained with.
    pub config: Config,
    /// Its tasks and image size.
    pub schema: RunSchema,
    /// The networks.
    pub model: Model,
    /// Where it runs.
    pub device: Device,
    /// The checkpoint the weights are from.
    pub checkpoint: PathBuf,
    /// How far training had come.
    pub stage: (Stage, bool),
    /// A sentence the user should see, if the best checkpoint was damaged.
    pub warning: Option<String>,
}

/// Reads `schema.json` of a run.
pub(crate) fn read_schema(run: &Path) -> Result<RunSchema> {
    let path = run.join("schema.json");
    let text = std::fs::read(&path).map_err(Error::io("cannot read", &path))?;
    serde_json::from_slice(&text).map_err(|error| Error::Run { path, problem: format!("is damaged: {error}") })
}

impl Trained {
    /// Loads a run: the best checkpoint, or while there is none the last, with averaged weights.
    ///
    /// # Errors
    /// Not a run folder, nothing saved yet, a checkpoint that is damaged or of another model.
    pub fn load(run: &Path, device: Option<&str>) -> Result<Self> {
        run_dir::check(run)?;
        let config = settings::read_resolved(&run.join("config.toml"))?;
        let schema = read_schema(run)?;
        let device = mtl_tensor::device::parse(device.unwrap_or(&config.device))
            .map_err(|error| Error::setting("device", &error))?;
        let model = Model::new(&config, &schema, &device)?;
        let root = run.join("checkpoints");
        // A link whose folder is gone is told, and another checkpoint is used.
        let name = if root.join("best").is_symlink() || root.join("best").exists() { "best" } else { "last" };
        let (checkpoint, path, warning) = Checkpoint::load_named(&root, name)?;
        let mut weights = checkpoint.weights;
        weights.extend(checkpoint.averages);
        model
            .params
            .load(&weights)
            .map_err(|error| Error::Checkpoint { path: path.clone(), problem: words(&error) })?;
        let stage = (checkpoint.state.stage, checkpoint.state.stage_finished);
        Ok(Self { config, schema, model, device, checkpoint: path, stage, warning })
    }
}

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
    let trained = Trained::load(run, device)?;
    let (config, schema) = (&trained.config, &trained.schema);
    let (mirrored, batch) = (config.joint.mirrored, config.joint.batch);
    let mut warnings: Vec<String> = trained.warning.iter().cloned().collect();
    let (columns, loader, constants, part, name) = match data {
        None => {
            let plan = Plan::new(config.clone())?;
            if plan.schema != *schema {
                let problem = "the data has changed since the run was trained, and its held-out side with it; \
                               score it as other data with `--data`";
                return Err(Error::DataMismatch(format!("{}: {problem}", run.display())));
            }
            let seen = Seen::before(config)?;
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
            let moved = if unchanged { None } else { seen::moved(config, schema, path) };
            let own = moved.or(own);
            let seen = Seen::by(config, schema, own.as_ref())?;
            let words = format!("images in {} are ones that", path.display());
            let flatters = seen.warning(&*other, &rows, &words)?;
            match flatters.or_else(|| seen::own_folder(config, path)) {
                Some(warning) => warnings.push(warning),
                None => warnings.extend(seen.doubts(&format!("images in {}", path.display()))),
            }
            let loader = loader::Loader::new(other, rows, schema.size(), loader::Config::plain(batch), Seed::new(0))?;
            let constants = own.map(|plan| baselines(&plan)).transpose()?;
            (columns, loader, constants, "all", name)
        }
    };
    let scores = score(&trained.model, &loader, &columns, constants.as_deref(), mirrored, &trained.device)?;
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
