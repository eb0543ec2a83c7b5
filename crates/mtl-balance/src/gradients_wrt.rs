//! The setting `gradients_wrt`.

use serde::{Deserialize, Serialize};

use crate::Needs;

/// The variables with respect to which task gradients are taken and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientsWrt {
    /// The trunk's parameters, as in the papers: one backward pass of the trunk per task.
    #[default]
    SharedParameters,
    /// The trunk's features (LibMTL: `rep_grad`): one backward pass of the trunk in all. Guarantees about conflict hold for the
    /// features, and for the parameters only approximately.
    Representation,
}

impl GradientsWrt {
    /// What the training step must compute.
    pub fn needs(self) -> Needs {
        match self {
            Self::SharedParameters => Needs::TrunkGram,
            Self::Representation => Needs::FeatureGram,
        }
    }
}
