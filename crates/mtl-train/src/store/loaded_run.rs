//! A run loaded from its folder, for prediction, scoring and sampling.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_data::inventory::Inventory;
use mtl_model::{Model, Schema};
use mtl_tensor::Device;

use super::checkpoint::Checkpoint;
use super::{read_schema, run_dir};
use crate::config::{Config, load};
use crate::error::{Error, Result, words};

/// A run's model with the weights of its best checkpoint.
#[derive(Debug)]
pub struct LoadedRun {
    /// The settings it was trained with.
    pub config: Config,
    /// Its tasks and image size.
    pub schema: Schema,
    /// The networks.
    pub model: Model,
    /// The device of the networks.
    pub device: Device,
    /// The checkpoint that the weights come from.
    pub checkpoint: PathBuf,
    /// The stage of that checkpoint, and whether the stage was finished.
    pub stage: (String, bool),
    /// A warning for the user, if the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// Reads the settings of a run, with its inventory: image files that have not changed since are not read again when the data
/// is opened.
///
/// # Errors
/// [`Error::Run`] if `run` is not a run folder; settings unknown to this version.
pub fn read_config(run: &Path) -> Result<Config> {
    let mut config = read_settings(run)?;
    let known = Inventory::read(&run.join("inventory.json")).ok().map(Arc::new);
    let own = config.data.sources.iter_mut().filter_map(|source| source.open.as_mut());
    for open in own.chain([&mut config.data.open]) {
        open.known.clone_from(&known);
    }
    Ok(config)
}

/// The settings alone.
fn read_settings(run: &Path) -> Result<Config> {
    run_dir::check(run)?;
    load::read_resolved(&run.join("config.toml"))
}

impl LoadedRun {
    /// Loads a run: the best checkpoint, or the last one without a best one, with averaged weights.
    ///
    /// # Errors
    /// Not a run folder, nothing saved yet, a checkpoint that is damaged or of another model.
    pub fn load(run: &Path, device: Option<&str>) -> Result<Self> {
        Self::with_config(run, read_settings(run)?, device)
    }

    /// The same, to open the run's data too: with its inventory ([`read_config`]).
    ///
    /// # Errors
    /// As [`LoadedRun::load`].
    pub fn load_with_inventory(run: &Path, device: Option<&str>) -> Result<Self> {
        Self::with_config(run, read_config(run)?, device)
    }

    fn with_config(run: &Path, config: Config, device: Option<&str>) -> Result<Self> {
        let schema = read_schema(run)?;
        let device = open_device(device.unwrap_or(&config.device))?;
        let model = Model::new(&config.model(), &schema, &device)?;
        let root = run.join("checkpoints");
        // A dangling link gives a warning, and another checkpoint is used.
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

    /// Whether training has passed the end of a stage.
    pub fn passed(&self, stage: &str) -> bool {
        self.config.stages.passed(stage, &self.stage.0, self.stage.1)
    }
}

/// The device with this name.
///
/// # Errors
/// [`Error::Setting`] for a device that does not exist here.
pub fn open_device(name: &str) -> Result<Device> {
    mtl_tensor::device::parse(name).map_err(|error| Error::setting("device", words(&error)))
}
