//! Hard parameter sharing: one trunk, all of whose parameters are shared by all tasks (Caruana 1997, Machine Learning 28).

use mtl_tensor::{Ctx, Params, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::{Sharing, SharingConfig};
use crate::{TapSpec, TaskFeatures, Trunk, TrunkConfig};

/// Name of the trunk's scope, and prefix of all its parameters.
const TRUNK: &str = "trunk";

/// Hard sharing has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl SharingConfig for Config {
    fn build(
        &self,
        params: &Params,
        trunk: &dyn TrunkConfig,
        channels: usize,
        tasks: usize,
    ) -> Result<Box<dyn Sharing>> {
        Ok(Box::new(Hard::new(params, trunk, channels, tasks)?))
    }
}

/// One trunk for all tasks; its parameters have the prefix `trunk`.
#[derive(Debug)]
pub struct Hard {
    trunk: Box<dyn Trunk>,
    prefixes: Vec<String>,
    tasks: usize,
}

impl Hard {
    /// Builds the trunk in the scope `trunk`, for images of `channels` channels.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(params: &Params, trunk: &dyn TrunkConfig, channels: usize, tasks: usize) -> Result<Self> {
        let scope = params.scope(TRUNK);
        Ok(Self { trunk: trunk.build(&scope, channels)?, prefixes: vec![scope.name().to_owned()], tasks })
    }
}

impl Sharing for Hard {
    fn taps(&self) -> &[TapSpec] {
        self.trunk.taps()
    }

    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<TaskFeatures> {
        Ok(TaskFeatures::shared(self.trunk.forward(images, cx)?, self.tasks))
    }

    fn shared(&self) -> &[String] {
        &self.prefixes
    }

    fn has_common_representation(&self) -> bool {
        true
    }

    fn trunk(&self) -> &dyn Trunk {
        &*self.trunk
    }
}
