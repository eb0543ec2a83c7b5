//! Which images a run has learnt from: scores on those flatter, and must say so.
//!
//! Images are told by a hash of their stored bytes, so that a copy elsewhere or under another name is found too, and one
//! that was only renamed. Cost: each file is read once, a small part of what scoring it takes.

use std::collections::HashSet;
use std::path::Path;

use mtl_data::Dataset;
use mtl_model::Schema;

use crate::config::Config;
use crate::data::{Plan, sources};
use crate::error::Result;
use crate::store::{read_config, read_schema};

/// Runs that began with each other's weights are followed this far.
pub(crate) const LONGEST_CHAIN: usize = 16;

/// What is known of the images a run learnt from or chose its weights by.
#[derive(Debug, Default)]
pub(crate) struct TrainedOn {
    images: HashSet<u64>,
    /// Those of them that gradients came from.
    learned: HashSet<u64>,
    /// All images of data that is gone or has changed, as far as the run's inventory has them.
    recorded: HashSet<u64>,
    /// Data that is gone or has changed, so that nobody can say which of its images were learnt from.
    unknown: Vec<String>,
}

impl TrainedOn {
    /// By a run whose own data is `own`, if it is still there, and by those whose weights it began with.
    ///
    /// # Errors
    /// An image that can no longer be read.
    pub(crate) fn of(config: &Config, schema: &Schema, own: Option<&Plan>) -> Result<Self> {
        let mut seen = Self::default();
        seen.add(config, schema, own)?;
        seen.follow(config)?;
        Ok(seen)
    }

    /// By the runs alone whose weights a run with this configuration begins with.
    ///
    /// # Errors
    /// An image that can no longer be read.
    pub(crate) fn before(config: &Config) -> Result<Self> {
        let mut seen = Self::default();
        seen.follow(config)?;
        Ok(seen)
    }

    fn follow(&mut self, config: &Config) -> Result<()> {
        let mut next = config.model.init_from.clone();
        for at in 0.. {
            let Some(run) = next else { break };
            if at == LONGEST_CHAIN {
                self.unknown.push(format!("the data of {} and the runs before it", run.display()));
                break;
            }
            let read = read_config(&run).and_then(|config| Ok((config, read_schema(&run)?)));
            let Ok((config, schema)) = read else {
                self.unknown.push(format!("the data of {}", run.display()));
                break;
            };
            self.add(&config, &schema, Plan::new(config.clone()).ok().as_ref())?;
            next = config.model.init_from;
        }
        Ok(())
    }

    fn add(&mut self, config: &Config, schema: &Schema, plan: Option<&Plan>) -> Result<()> {
        let Some(plan) = plan.filter(|plan| plan.schema == *schema) else {
            let places: Vec<String> = sources::folders(config).map(|path| path.display().to_string()).collect();
            self.unknown.push(if places.is_empty() { schema.data.clone() } else { places.join(" or ") });
            let rows = config.data.open.known.iter().flat_map(|known| known.rows());
            self.recorded.extend(rows.filter_map(|row| row.content));
            return Ok(());
        };
        for &row in &plan.split.train {
            self.learned.extend(plan.dataset.content_hash(row)?);
        }
        for &row in &plan.split.validation {
            self.images.extend(plan.dataset.content_hash(row)?);
        }
        self.images.extend(&self.learned);
        Ok(())
    }

    /// Whether an image was trained on; one that only chose the best weights was not.
    pub(crate) fn learned(&self, hash: Option<u64>) -> bool {
        hash.is_some_and(|hash| self.learned.contains(&hash))
    }

    /// What a reader of scores on these rows must know: `what` names them ("images of photos").
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(crate) fn warning(&self, dataset: &dyn Dataset, rows: &[usize], what: &str) -> Result<Option<String>> {
        let known = count(dataset, rows, &self.images)?;
        let words = "were learnt from, or used to choose the weights: scores on them flatter";
        Ok((known > 0).then(|| format!("{known} of the {} {what} {words}", rows.len())))
    }

    /// The same for images that were somewhere in data that is gone or has changed.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(crate) fn suspicion(&self, dataset: &dyn Dataset, rows: &[usize], what: &str) -> Result<Option<String>> {
        let known = count(dataset, rows, &self.recorded)?;
        let words =
            "were in the data of the run, which is gone or has changed: scores on those that were learnt from flatter";
        Ok((known > 0).then(|| format!("{known} of the {} {what} {words}", rows.len())))
    }

    /// Sentences about data of which nobody can say whether it held `what`.
    pub(crate) fn doubts<'a>(&'a self, what: &'a str) -> impl Iterator<Item = String> + 'a {
        let words = "is gone or has changed since it was learnt from: whether";
        self.unknown.iter().map(move |data| format!("{data} {words} {what} were among it cannot be told"))
    }
}

/// How many rows have one of these images.
fn count(dataset: &dyn Dataset, rows: &[usize], images: &HashSet<u64>) -> Result<usize> {
    let mut known = 0;
    for &row in rows.iter().filter(|_| !images.is_empty()) {
        known += usize::from(dataset.content_hash(row)?.is_some_and(|hash| images.contains(&hash)));
    }
    Ok(known)
}

/// The warning for `path` being a folder a run was trained on, whatever has happened to the images in it since.
pub(crate) fn own_folder(config: &Config, path: &Path) -> Option<String> {
    let path = std::fs::canonicalize(path).ok()?;
    let own = sources::folders(config).any(|own| std::fs::canonicalize(own).is_ok_and(|own| own == path));
    own.then(|| {
        let which = if config.data.sources.is_empty() { "the folder" } else { "a folder" };
        let words = "the run was trained on, and has changed since: most images in it were probably learnt from, and scores \
                     on them flatter";
        format!("{} is {which} {words}", path.display())
    })
}
