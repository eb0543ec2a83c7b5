//! Where task gradients are compared.

use serde::{Deserialize, Serialize};

use crate::Needs;

/// With respect to what the inner products of the task gradients are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The trunk's parameters: what the papers mean; a backward pass of the trunk for each task.
    #[default]
    Trunk,
    /// The trunk's features: one backward pass of the trunk in all. Promises about conflict hold there, and in the parameters
    /// only about so.
    Features,
}

impl Route {
    /// What the training step must compute.
    pub fn needs(self) -> Needs {
        match self {
            Self::Trunk => Needs::TrunkGram,
            Self::Features => Needs::FeatureGram,
        }
    }
}
