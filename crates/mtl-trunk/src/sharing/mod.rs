//! Parameter sharing: which parameters the tasks of one model have in common.
//!
//! A [`Sharing`] maps images to the features of each task. Hard parameter sharing gives every task the features of one
//! trunk. Soft sharing would give each task its own.

pub mod hard;

use mtl_tensor::{Ctx, Params, Result, Tensor};

use crate::{TapSpec, TaskFeatures, Trunk, TrunkConfig};

/// Images to the features of each task.
pub trait Sharing: Send + Sync + std::fmt::Debug {
    /// Taps of every task's features, finest first.
    fn taps(&self) -> &[TapSpec];

    /// `[B, C, H, W]` images in `[-1, 1]` to the features of all tasks.
    ///
    /// # Errors
    /// Shapes that do not fit the trunk.
    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<TaskFeatures>;

    /// Name prefixes of the parameters that several tasks share. Balancers compare and combine the tasks' gradients with
    /// respect to these parameters.
    fn shared(&self) -> &[String];

    /// Whether all tasks read the same features, so that gradients with respect to the representation can be compared
    /// (`gradients_wrt = "representation"`).
    fn has_common_representation(&self) -> bool;

    /// The encoder of the generators.
    fn trunk(&self) -> &dyn Trunk;
}

/// Settings of a kind of parameter sharing. A type from another crate that implements this trait is built in the same way
/// as the built-in ones.
pub trait SharingConfig: Send + Sync + std::fmt::Debug {
    /// Builds the shared part of a model for `tasks` tasks on images of `channels` channels, with all parameters in
    /// `params`. `trunk` configures the encoder.
    ///
    /// # Errors
    /// A parameter name that is taken.
    fn build(
        &self,
        params: &Params,
        trunk: &dyn TrunkConfig,
        channels: usize,
        tasks: usize,
    ) -> Result<Box<dyn Sharing>>;
}

mtl_registry::registry! {
    /// Kind of parameter sharing and its settings: one table `[model.sharing.hard]` in a configuration file. Default: `hard`.
    pub enum Config: "sharing" as dyn SharingConfig = Hard;
    /// All kinds of parameter sharing.
    pub const SHARINGS;

    Hard(hard::Config), "hard", "hard parameter sharing: all tasks read the features of one trunk", "Caruana 1997";
}

impl Config {
    /// Builds the shared part of a model; see [`SharingConfig::build`].
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn build(
        &self,
        params: &Params,
        trunk: &dyn TrunkConfig,
        channels: usize,
        tasks: usize,
    ) -> Result<Box<dyn Sharing>> {
        self.member().build(params, trunk, channels, tasks)
    }
}
