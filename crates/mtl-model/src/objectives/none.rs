//! `none`: no objective under this name.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::objective::{Objective, ObjectiveConfig, ObjectiveInput};

/// No settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl ObjectiveConfig for Config {
    fn build(&self, _: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>> {
        Ok(None)
    }
}
