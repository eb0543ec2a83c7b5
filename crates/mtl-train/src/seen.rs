//! Which images a run has learnt from: scores on those flatter, and must say so.
//!
//! Images are told by a hash of their stored bytes, so that a copy elsewhere or under another name is found too, and one
//! that was only renamed. Cost: each file is read once, a small part of what scoring it takes.

use std::collections::HashSet;
use std::path::Path;

use mtl_data::Dataset;

use crate::config::Config;
use crate::error::Result;
use crate::plan::{Plan, RunSchema};

/// Hashes of the images a run learnt from or chose its weights by, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashSet<u64>);

impl Seen {
    /// By a run whose own data is `own`, if it is still there.
    ///
    /// # Errors
    /// An image that can no longer be read.
    pub(crate) fn by(schema: &RunSchema, own: Option<&Plan>) -> Result<Self> {
        let mut seen = Self::default();
        seen.add(schema, own)?;
        Ok(seen)
    }

    fn add(&mut self, schema: &RunSchema, plan: Option<&Plan>) -> Result<()> {
        let Some(plan) = plan.filter(|plan| plan.schema == *schema) else { return Ok(()) };
        for &row in plan.split.train.iter().chain(&plan.split.validation) {
            self.0.extend(plan.dataset.content_hash(row)?);
        }
        Ok(())
    }

    /// What a reader of scores on these rows must know: `what` names them ("images of photos").
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(crate) fn warning(&self, dataset: &dyn Dataset, rows: &[usize], what: &str) -> Result<Option<String>> {
        let mut known = 0;
        for &row in rows {
            known += usize::from(dataset.content_hash(row)?.is_some_and(|hash| self.0.contains(&hash)));
        }
        let all = rows.len();
        let words = "were learnt from, or used to choose the weights: scores on them flatter";
        Ok((known > 0).then(|| format!("{known} of the {all} {what} {words}")))
    }
}

/// The plan of a run whose data has moved to `path`, if that holds the same tasks, and images of the same names on the
/// same sides.
pub(crate) fn moved(config: &Config, schema: &RunSchema, path: &Path) -> Option<Plan> {
    let mut config = config.clone();
    config.data.path = Some(path.to_owned());
    let mut plan = Plan::new(config).ok()?;
    plan.schema.data.clone_from(&schema.data);
    (plan.schema == *schema).then_some(plan)
}

/// The warning for `path` being the folder a run was trained on, whatever has happened to the images in it since.
pub(crate) fn own_folder(config: &Config, path: &Path) -> Option<String> {
    let (own, path) = (std::fs::canonicalize(config.data.path.as_ref()?).ok()?, std::fs::canonicalize(path).ok()?);
    (own == path).then(|| {
        let words = "is the folder the run was trained on, and has changed since: most images in it were probably learnt \
                     from, and scores on them flatter";
        format!("{} {words}", path.display())
    })
}
