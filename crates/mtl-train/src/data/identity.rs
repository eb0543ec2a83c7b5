//! Whether data is that of a run: by its content, wherever its folder lies now.

use std::path::{Path, PathBuf};

use mtl_data::Inventory;
use mtl_model::Schema;

use super::plan::Plan;
use super::sources::folders;
use crate::config::Config;
use crate::error::{Error, Result};

/// The folders of a run's data that do not exist.
pub(crate) fn gone(config: &Config) -> Vec<PathBuf> {
    folders(config).filter(|path| !path.exists()).cloned().collect()
}

/// Checks that the folders of a run's data exist.
///
/// # Errors
/// [`Error::DataGone`].
pub(crate) fn check_present(run: &Path, config: &Config) -> Result<()> {
    let missing = gone(config);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::DataGone { run: run.to_owned(), missing, folders: folders(config).count() })
}

/// The configuration with other places for the run's folders, in their order; no place leaves it as it is.
///
/// # Errors
/// Another number of folders than the run has.
pub(crate) fn replaced(mut config: Config, data: &[PathBuf]) -> Result<Config> {
    let own: Vec<String> = folders(&config).map(|path| path.display().to_string()).collect();
    if data.is_empty() {
        return Ok(config);
    }
    if data.len() != own.len() {
        let problem = match own.len() {
            0 => "the run was trained on built-in scenes: it has no folder that could be elsewhere".to_owned(),
            count => format!(
                "the run was trained on {count} {} ({}): name the new place of each, in this order; {} {} given",
                if count == 1 { "folder" } else { "folders" },
                own.join(", "),
                data.len(),
                if data.len() == 1 { "is" } else { "are" }
            ),
        };
        return Err(Error::setting("data", problem));
    }
    if config.data.sources.is_empty() {
        config.data.path = data.first().cloned();
        return Ok(config);
    }
    let names = config.data.open.known.as_deref().map(origins).unwrap_or_default();
    let known = names.len() == config.data.sources.len();
    for (at, (source, path)) in config.data.sources.iter_mut().zip(data).enumerate() {
        // Rows are named by their source, which is named by its folder.
        source.name = source.name.take().or_else(|| names.get(at).filter(|_| known).cloned());
        source.path.clone_from(path);
    }
    Ok(config)
}

/// Names of the sources in an inventory of several: the first part of the rows' names.
fn origins(inventory: &Inventory) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in inventory.names().iter().filter_map(|name| Some(name.split_once('/')?.0)) {
        if names.last().is_none_or(|last| last != name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Checks that `plan` holds the data that a run started with, and gives it the name it had then.
///
/// # Errors
/// In words, what differs.
pub(crate) fn adopt(plan: &mut Plan, schema: &Schema, recorded: Option<&Inventory>) -> std::result::Result<(), String> {
    if let Some(differences) = recorded.and_then(|recorded| recorded.differences(&plan.inventory)) {
        return Err(differences.to_string());
    }
    let name = std::mem::replace(&mut plan.schema.data, schema.data.clone());
    if plan.schema == *schema {
        return Ok(());
    }
    plan.schema.data = name;
    Err("other images, tasks, classes, labels or subsets".to_owned())
}

/// The plan of a run whose data lies in one folder, `path`, now; `None` if that holds other data.
pub(crate) fn moved(config: &Config, schema: &Schema, path: &Path) -> Option<Plan> {
    let recorded = config.data.open.known.clone();
    let mut plan = Plan::new(replaced(config.clone(), &[path.to_owned()]).ok()?).ok()?;
    adopt(&mut plan, schema, recorded.as_deref()).is_ok().then_some(plan)
}
