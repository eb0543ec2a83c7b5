//! Loss of the labelled tasks on the features of another encoder: that of a fine-tuned discriminator.
//!
//! A fine-tuned discriminator starts as a copy of the shared encoder and is then trained to separate real from generated
//! images. So that its features keep serving the tasks, the losses of the model's heads on real images are added to its own.
//! The heads are constants here, with running statistics and without dropout: the model's classifier and segmenter do not
//! change.

use mtl_gen::TaskLoss;
use mtl_tensor::{Ctx, Tensor, with_constant_weights};
use mtl_trunk::Features;

use super::finite_value;
use crate::batch::DeviceBatch;
use crate::error::Result;
use crate::model::Model;

/// The sum of the labelled tasks' losses on `features` of the images of `batch`; `None` if the batch has no labels.
///
/// # Errors
/// [`crate::Error::NonFinite`] naming the task whose loss is not finite.
pub fn task_loss(model: &Model, features: &Features, batch: &DeviceBatch) -> Result<Option<TaskLoss>> {
    let mut total: Option<Tensor> = None;
    let mut terms = Vec::new();
    for (objective, _) in model.objectives.iter().zip(&batch.targets) {
        let Some(loss) = with_constant_weights(|| objective.loss(features, batch, &Ctx::eval()))? else { continue };
        let name = objective.name();
        let value = finite_value(&loss, || format!("the loss of task `{name}` on the discriminator's features"))?;
        terms.push((format!("task/{name}"), value));
        total = Some(match total {
            Some(total) => (total + loss)?,
            None => loss,
        });
    }
    Ok(total.map(|total| TaskLoss { total, terms }))
}
