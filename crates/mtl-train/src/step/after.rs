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

/// The losses of the tasks of `output` on the same batch with the present weights; leaves no trace in running averages. One forward
/// pass.
///
/// # Errors
/// [`Error::Diverged`](crate::Error::Diverged) naming a task whose loss is not finite.
pub fn losses_after(
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

/// For each task of `output` by how much the summed loss of the `primary` tasks on `other` would grow with its weight in a step of
/// plain gradient descent at `lr`; `None` where no primary task has labels in `other`, or nothing can be told. The weights are as
/// they were afterwards. One backward and three forward passes.
///
/// # Errors
/// [`Error::Diverged`](crate::Error::Diverged) naming a task whose loss is not finite.
pub fn lookahead(
    model: &Model,
    tasks: &[String],
    (input, other): (&StepInput<'_>, &StepInput<'_>),
    output: &StepOutput,
    (lr, primary): (f64, &[usize]),
    cx: &Ctx,
) -> Result<Option<Vec<f64>>> {
    let vars = model.params.trained();
    let unrecorded = cx.with_mode(Mode::TrainUnrecorded);
    let ahead = away(&vars, &output.grads, -lr, || {
        let features = model.trunk.forward(other.images, &unrecorded)?;
        let losses = task_losses(model, &features, other, &unrecorded)?;
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
        return Ok(None);
    }
    let step = WAY / length;
    let losses = |way: f64| away(&vars, &ahead, way, || losses_after(model, tasks, input, output, cx));
    let (there, back) = (losses(step)?, losses(-step)?);
    Ok(Some(there.iter().zip(back).map(|(there, back)| -lr * (there - back) / (2.0 * step)).collect()))
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

#[cfg(test)]
mod tests {
    use mtl_balance::Config;
    use mtl_rng::Seed;
    use mtl_tensor::{Device, to_f64};

    use super::*;
    use crate::plan::Plan;
    use crate::settings;
    use crate::step::{balanced_tasks, step};

    /// Against the definition: the other batch's loss after a step with a little more and a little less weight on each task.
    #[test]
    fn what_a_weight_does_one_step_later() {
        let set = [
            "size=32",
            "data.scenes.count=48",
            "data.scenes.size=32",
            "model.trunk.resnet.widths=[8,8,16]",
            "model.trunk.resnet.norm=group",
            "model.reconstruction=none",
            "data.tasks=[\"class\",\"depth\"]",
            "heads.class.classification.dropout=0",
            "heads.depth.dense.norm=group",
        ];
        let plan = Plan::new(settings::load("small", None, &set.map(str::to_owned)).unwrap()).unwrap();
        let model = Model::new(&plan.config, &plan.schema, &Device::Cpu).unwrap();
        let tasks = balanced_tasks(&model);
        let batches = [0..8, 8..16].map(|rows| {
            let batch =
                mtl_data::loader::batch_of(&*plan.dataset, &plan.split.train[rows], plan.schema.size()).unwrap();
            let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &Device::Cpu).unwrap();
            (images, plan.targets(&batch))
        });
        let input = |at: usize| StepInput {
            images: &batches[at].0,
            targets: &batches[at].1,
            classes: &[-1; 8],
            reconstruction_weight: 0.0,
            reconstruction_images: 1,
            step: 0,
            epoch: 0,
            compare: false,
        };
        let (here, other) = (input(0), input(1));
        let cx = Ctx::train(Seed::new(1), 0);
        let weighed = |weights: [f64; 2]| {
            let weights = [("class".to_owned(), weights[0]), ("depth".to_owned(), weights[1])].into();
            let mut fixed = Config::Fixed(mtl_balance::fixed::Config { weights }).build(&tasks).unwrap();
            step(&model, &mut *fixed, &tasks, &here, &cx, &mut Seed::new(1).stream("b", &[])).unwrap()
        };
        let before: Vec<Vec<f64>> = model.params.trained().values().map(|var| to_f64(var).unwrap()).collect();
        let (lr, primary) = (0.01, [0]);
        let found =
            lookahead(&model, &tasks, (&here, &other), &weighed([1.0, 0.5]), (lr, &primary), &cx).unwrap().unwrap();
        let after: Vec<Vec<f64>> = model.params.trained().values().map(|var| to_f64(var).unwrap()).collect();
        assert_eq!(before, after);

        let vars = model.params.trained();
        let loss = |weights: [f64; 2]| {
            let grads = weighed(weights).grads;
            let output = weighed([1.0, 0.5]);
            away(&vars, &grads, -lr, || losses_after(&model, &tasks, &other, &output, &cx)).unwrap()[0]
        };
        let little = 0.2;
        let slopes = [
            (loss([1.0 + little, 0.5]) - loss([1.0 - little, 0.5])) / (2.0 * little),
            (loss([1.0, 0.5 + little]) - loss([1.0, 0.5 - little])) / (2.0 * little),
        ];
        for (found, slope) in found.iter().zip(slopes) {
            assert!((found - slope).abs() < 0.1 * slope.abs() + 2e-6, "{found}, by definition {slope}");
        }
        assert!(found[0] < 0.0, "more of the primary task does not help it: {found:?}");
    }
}
