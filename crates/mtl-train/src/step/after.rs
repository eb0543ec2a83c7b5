//! What a balancer is told after a step: losses of the same batch, or what its weights do to another one.

use std::collections::BTreeMap;

use mtl_tensor::optim::{Grads, collect, global_norm};
use mtl_tensor::{Ctx, Mode, Tensor, Var, backward_once};

use super::routes::sum;
use super::{StepInput, StepOutput, finite_values, task_losses};
use crate::error::Result;
use crate::model::Model;

/// Length of the way over which a difference of losses stands for their slope, as in the authors' code.
const WAY: f64 = 0.01;

/// The losses of the tasks of `output` on the same batch with the present weights; leaves no trace in running averages.
pub(crate) fn losses_after(
    model: &Model,
    tasks: &[String],
    input: &StepInput<'_>,
    output: &StepOutput,
    cx: &Ctx,
) -> Result<Vec<f64>> {
    let cx = cx.with_mode(Mode::TrainUnrecorded);
    let losses = task_losses(model, &model.trunk.forward(input.images, &cx)?, input, &cx)?;
    let values = finite_values(&losses, tasks, input.step)?;
    let of =
        |name: &String| losses.iter().zip(&values).find(|((at, _), _)| tasks[*at] == *name).map(|(_, value)| *value);
    Ok(output.losses.iter().filter_map(|(name, _)| of(name)).collect())
}

/// For each task of `output`: by how much the summed loss of the `primary` tasks on `other` would grow with its weight in a step of
/// plain gradient descent at `lr`. The weights are as they were afterwards.
pub(crate) fn lookahead(
    model: &Model,
    tasks: &[String],
    (input, other): (&StepInput<'_>, &StepInput<'_>),
    output: &StepOutput,
    (lr, primary): (f64, &[usize]),
    cx: &Ctx,
) -> Result<Vec<f64>> {
    let vars = model.params.trained();
    let unrecorded = cx.with_mode(Mode::TrainUnrecorded);
    let ahead = away(&vars, &output.grads, -lr, || {
        let features = model.trunk.forward(other.images, &unrecorded)?;
        let losses = task_losses(model, &features, other, &unrecorded)?;
        finite_values(&losses, tasks, input.step)?;
        let counting: Vec<&Tensor> =
            losses.iter().filter(|(at, _)| primary.contains(at)).map(|(_, loss)| loss).collect();
        let total = sum(counting.iter().copied(), &vec![1.0; counting.len()])?;
        drop((losses, features));
        Ok(match total {
            Some(total) => collect(&backward_once(total)?, &vars),
            None => Grads::new(),
        })
    })?;
    let length = global_norm(&ahead)?;
    if length == 0.0 || !length.is_finite() {
        return Ok(vec![0.0; output.losses.len()]);
    }
    let step = WAY / length;
    let losses = |way: f64| away(&vars, &ahead, way, || losses_after(model, tasks, input, output, cx));
    let (there, back) = (losses(step)?, losses(-step)?);
    Ok(there.iter().zip(back).map(|(there, back)| -lr * (there - back) / (2.0 * step)).collect())
}

/// Runs `body` with the parameters moved along `grads`, and puts them back whatever happens.
fn away<R>(vars: &BTreeMap<String, Var>, grads: &Grads, way: f64, body: impl FnOnce() -> Result<R>) -> Result<R> {
    let mut before = Vec::with_capacity(grads.len());
    let moved = || -> mtl_tensor::Result<()> {
        for (name, grad) in grads {
            if let Some(var) = vars.get(name) {
                let now = var.as_tensor().detach();
                before.push((var, now.copy()?));
                var.set(&(now + (grad * way)?)?)?;
            }
        }
        Ok(())
    }();
    let result = match moved {
        Ok(()) => body(),
        Err(error) => Err(error.into()),
    };
    for (var, value) in before {
        var.set(&value)?;
    }
    result
}
