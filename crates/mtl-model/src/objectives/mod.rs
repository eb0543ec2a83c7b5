//! The registry of unlabelled objectives: `[objectives.NAME.KIND]`. A new kind is one file and one line here. Labelled tasks
//! get their objective from their head ([`head`]).

pub mod autoencoder;
pub mod generator;
pub mod head;
pub mod none;

use crate::error::Result;
use crate::objective::{Objective, ObjectiveConfig, ObjectiveInput};

mtl_registry::registry! {
    /// Kind and settings of an unlabelled objective: one table `[objectives.NAME.KIND]`.
    pub enum Config: "objective" as dyn ObjectiveConfig = Generator;
    /// All kinds of unlabelled objectives.
    pub const OBJECTIVES;

    Generator(generator::Config), "generator", "trains a generator jointly, with the encoder as its encoder (a VAE)";
    Autoencoder(autoencoder::Config), "autoencoder", "reconstructs the image by two transposed convolutions; mean squared error";
    None(none::Config), "none", "no objective: labelled tasks only";
}

impl Config {
    /// See [`ObjectiveConfig::build`].
    ///
    /// # Errors
    /// See [`ObjectiveConfig::build`].
    pub fn build(&self, input: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>> {
        self.member().build(input)
    }

    /// See [`ObjectiveConfig::generator`].
    pub fn generator(&self) -> Option<&str> {
        self.member().generator()
    }
}
