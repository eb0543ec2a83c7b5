//! Predictions of all objectives for a batch of images.

use mtl_metrics::Prediction;
use mtl_tensor::{Ctx, Tensor};

use crate::error::Result;
use crate::model::Model;
use crate::objective::{Output, Views};
use crate::objectives::head::flip;

/// Predictions for a batch, in the order of [`Model::objectives`].
#[derive(Debug)]
pub struct Outputs(pub Vec<Output>);

impl Outputs {
    /// Probabilities and decisions of the labelled tasks, in schema order.
    pub fn tasks(&self) -> impl Iterator<Item = (&Tensor, &Prediction)> {
        self.0.iter().filter_map(|output| match output {
            Output::Task { probabilities, prediction } => Some((probabilities, prediction)),
            Output::Images(_) => None,
        })
    }

    /// The reconstructed images of the first objective that reconstructs them.
    pub fn images(&self) -> Option<&Tensor> {
        self.0.iter().find_map(|output| match output {
            Output::Images(images) => Some(images),
            Output::Task { .. } => None,
        })
    }
}

impl Model {
    /// Predictions for images `[B, C, H, W]`; with `flip_tta` probabilities are averaged over each image and its horizontal
    /// flip, which doubles the cost.
    ///
    /// # Errors
    /// [`crate::Error::NonFinitePrediction`], shapes that do not fit.
    pub fn outputs(&self, images: &Tensor, flip_tta: bool) -> Result<Outputs> {
        let cx = Ctx::eval();
        let plain = self.sharing.forward(images, &cx)?;
        let flipped = if flip_tta { Some(self.sharing.forward(&flip(images)?, &cx)?) } else { None };
        // A decoder gets the class that the model itself predicts, never the label.
        let mut classes = vec![-1; images.dim(0)?];
        let mut outputs = Vec::with_capacity(self.objectives.len());
        for (at, objective) in self.objectives.iter().enumerate() {
            let flipped = flipped.as_ref().map(|features| features.of(at));
            let output = objective.output(&Views { plain: plain.of(at), flipped, classes: &classes })?;
            if let (Output::Task { prediction: Prediction::Class(found), .. }, true) =
                (&output, self.condition == Some(at))
            {
                classes = found.iter().map(|&class| class as i32).collect();
            }
            outputs.push(output);
        }
        Ok(Outputs(outputs))
    }
}
