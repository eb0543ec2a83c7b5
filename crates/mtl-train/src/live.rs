//! The tasks on the critic's own trunk, in the GAN's mode `live`.
//!
//! That trunk begins as the learnt one and then learns to tell real images from generated ones. So that it stays one that
//! serves the tasks, the run's heads judge what it sees in real images, and their losses are part of the critic's. The
//! heads are constants here, with running statistics and without dropout: the run's classifier and segmenter, which `eval`
//! and `predict` use, stay what they were, and the critic's trunk is kept to features that those understand.

use mtl_gen::gan::Gan;
use mtl_task::Target;
use mtl_tensor::{Ctx, Tensor, to_f64, with_constant_weights};

use crate::config::Stage;
use crate::error::Result;
use crate::model::Model;
use crate::step::{diverged, head_losses};

/// The tasks' part of the critic's loss.
pub(crate) struct Tasks {
    /// A scalar, to be added: the sum of the losses times the weight.
    pub(crate) total: Tensor,
    /// The losses by name, before the weight.
    pub(crate) losses: Vec<(String, f64)>,
}

/// The tasks' part of the critic's loss; `None` where the mode or the weight asks for nothing, or no task has a label in
/// this batch.
///
/// # Errors
/// [`crate::Error::Diverged`] naming the task whose loss is not finite.
pub(crate) fn critic_tasks(
    model: &Model,
    gan: &Gan,
    images: &Tensor,
    targets: &[Target],
    step: u64,
) -> Result<Option<Tasks>> {
    let weight = gan.task_weight();
    if weight == 0.0 || targets.iter().all(|target| target.present() == 0) {
        return Ok(None);
    }
    let Some(features) = gan.own_features(images)? else { return Ok(None) };
    let losses = with_constant_weights(|| head_losses(model, &features, targets, &Ctx::eval()))?;
    let (mut total, mut values): (Option<Tensor>, Vec<(String, f64)>) = (None, Vec::new());
    for (at, loss) in losses {
        let name = &model.heads[at].0.name;
        let value = to_f64(&loss)?.first().copied().unwrap_or(f64::NAN);
        if !value.is_finite() {
            let what = format!("the loss of task `{name}` on the critic's trunk");
            return Err(diverged(what, Stage::Gan.name(), step));
        }
        values.push((format!("task/{name}"), value));
        let term = (loss * weight)?;
        total = Some(match total {
            Some(total) => (total + term)?,
            None => term,
        });
    }
    Ok(total.map(|total| Tasks { total, losses: values }))
}
