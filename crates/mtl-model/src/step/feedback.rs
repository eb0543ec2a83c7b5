//! Feedback for balancers after a step: the losses of the same batch, or the effect of the weights on another batch.

use std::collections::BTreeMap;

use mtl_tensor::optim::{Grads, collect, global_norm};
use mtl_tensor::{Ctx, Mode, Tensor, Var, backward};

use super::routes::sum;
use super::{StepInput, StepOutput, finite_values, objective_losses};
use crate::batch::DeviceBatch;
use crate::error::Result;
use crate::model::Model;

/// Length of the finite-difference step, as in the authors' code (Auto-Lambda).
const FD_STEP: f64 = 0.01;

/// The losses of the tasks of `output` on the same batch with the present weights; running statistics do not change. Costs
/// one forward pass.
///
/// # Errors
/// [`crate::Error::NonFinite`] naming a task whose loss is not finite.
pub fn losses_after(model: &Model, input: &StepInput<'_>, output: &StepOutput, cx: &Ctx) -> Result<Vec<f64>> {
    let cx = cx.with_mode(Mode::TrainFrozenStats);
    let features = model.sharing.forward(&input.batch.images, &cx)?;
    let losses = objective_losses(model, &features, input.batch, &cx)?;
    let values = finite_values(&losses, model)?;
    let of = |name: &String| {
        losses.iter().zip(&values).find(|((at, _), _)| model.objectives[*at].name() == name).map(|(_, value)| *value)
    };
    Ok(output.losses.iter().filter_map(|(name, _)| of(name)).collect())
}

/// The other batch and the learning rate of a look-ahead.
#[derive(Clone, Copy, Debug)]
pub struct Lookahead<'a> {
    /// Batch that the primary tasks are evaluated on.
    pub other: &'a DeviceBatch,
    /// Learning rate of the step of plain gradient descent.
    pub lr: f64,
    /// Indices of the primary tasks.
    pub primary: &'a [usize],
}

/// For each task of `output`, the derivative of the primary tasks' summed loss on `ahead.other`, after one step of plain
/// gradient descent at `ahead.lr`, with respect to the task's weight. `None` if no primary task has labels in that batch or
/// the gradient there vanishes. The parameters are restored. Costs one backward and three forward passes.
///
/// # Errors
/// [`crate::Error::NonFinite`] naming a task whose loss is not finite.
pub fn lookahead(
    model: &Model,
    input: &StepInput<'_>,
    output: &StepOutput,
    ahead: Lookahead<'_>,
    cx: &Ctx,
) -> Result<Option<Vec<f64>>> {
    let Lookahead { other, lr, primary } = ahead;
    let vars = model.params.trainable();
    let frozen = cx.with_mode(Mode::TrainFrozenStats);
    let ahead = with_shifted_params(&vars, &output.grads, -lr, || {
        let features = model.sharing.forward(&other.images, &frozen)?;
        let losses = objective_losses(model, &features, other, &frozen)?;
        let counting: Vec<&Tensor> =
            losses.iter().filter(|(at, _)| primary.contains(at)).map(|(_, loss)| loss).collect();
        let total = sum(counting.iter().copied(), &vec![1.0; counting.len()])?;
        drop((losses, features));
        Ok(match total {
            Some(total) => collect(&backward(&total)?, &vars),
            None => Grads::new(),
        })
    })?;
    let length = global_norm(&ahead)?;
    if length == 0.0 || !length.is_finite() {
        return Ok(None);
    }
    let step = FD_STEP / length;
    let losses = |factor: f64| with_shifted_params(&vars, &ahead, factor, || losses_after(model, input, output, cx));
    let (plus, minus) = (losses(step)?, losses(-step)?);
    Ok(Some(plus.iter().zip(minus).map(|(plus, minus)| -lr * (plus - minus) / (2.0 * step)).collect()))
}

/// Parameters with their values before a shift; puts the values back when dropped, also after a panic.
struct Restore<'a>(Vec<(&'a Var, Tensor)>);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        for (var, value) in &self.0 {
            // Equal shapes and devices: setting cannot fail.
            let _ = var.set(value);
        }
    }
}

/// Runs `body` with the parameters shifted by `factor` times `grads`; the parameters are restored even after an error or a panic.
fn with_shifted_params<R>(
    vars: &BTreeMap<String, Var>,
    grads: &Grads,
    factor: f64,
    body: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let mut before = Restore(Vec::with_capacity(grads.len()));
    for (name, grad) in grads {
        if let Some(var) = vars.get(name) {
            let now = var.as_tensor().detach();
            before.0.push((var, now.copy()?));
            var.set(&(now + (grad * factor)?)?)?;
        }
    }
    body()
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_task::{Target, Task, TaskKind};
    use mtl_tensor::layers::NormKind;
    use mtl_tensor::{DType, Device};

    use super::*;
    use crate::model::ModelConfig;
    use crate::schema::Schema;
    use crate::step::step;

    fn batch(seed: u64) -> DeviceBatch {
        let mut stream = Seed::new(seed).stream("batch", &[]);
        let noise = Tensor::from_vec(stream.normals(8 * 3 * 32 * 32), (8, 3, 32, 32), &Device::Cpu).unwrap();
        let brightness = Tensor::from_vec(stream.normals(8), (8, 1, 1, 1), &Device::Cpu).unwrap();
        let images = (noise * 0.1).unwrap().broadcast_add(&(brightness * 0.3).unwrap()).unwrap();
        // The targets depend on the images, so that a step that helps one batch helps the other.
        let means: Vec<f32> = images.mean((1, 2, 3)).unwrap().to_vec1().unwrap();
        let classes = means.iter().map(|mean| i32::from(*mean > 0.0)).collect();
        let depth = images.mean(1).unwrap().flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        DeviceBatch {
            images,
            targets: vec![Target::Class(classes), Target::Dense(depth)],
            classes: vec![-1; 8],
            parts: 1,
        }
    }

    #[test]
    fn shifted_parameters_are_restored_after_a_panic() {
        let var = Var::new(&[1.0f32, 2.0], &Device::Cpu).unwrap();
        let vars = BTreeMap::from([("w".to_owned(), var.clone())]);
        let grads: Grads = [("w".to_owned(), Tensor::new(&[1.0f32, -1.0], &Device::Cpu).unwrap())].into();
        let shifted = std::panic::AssertUnwindSafe(|| {
            with_shifted_params(&vars, &grads, 0.5, || -> Result<()> {
                assert_eq!(mtl_tensor::to_f64(&var).unwrap(), [1.5, 1.5]);
                panic!("inside");
            })
        });
        assert!(std::panic::catch_unwind(shifted).is_err());
        assert_eq!(mtl_tensor::to_f64(&var).unwrap(), [1.0, 2.0]);
    }

    /// Against the definition: the loss on the other batch after a step with a little more and a little less weight per task.
    #[test]
    fn lookahead_is_the_derivative_by_the_weight() {
        let tasks = vec![
            Task::new("class", TaskKind::Classification { classes: vec!["dark".into(), "light".into()] }),
            Task::new("depth", TaskKind::Dense { unit: "1".into() }),
        ];
        let trunk = mtl_trunk::resnet::Config {
            widths: Some([8, 8, 16]),
            blocks: Some(1),
            norm: NormKind::Group,
            ..Default::default()
        };
        let heads = [
            (
                "class".to_owned(),
                mtl_heads::Config::Classification(mtl_heads::classification::Config {
                    dropout: 0.0,
                    ..Default::default()
                }),
            ),
            (
                "depth".to_owned(),
                mtl_heads::Config::Dense(mtl_heads::dense::Config { norm: NormKind::Group, ..Default::default() }),
            ),
        ];
        let config =
            ModelConfig { trunk: mtl_trunk::Config::Resnet(trunk), heads: heads.into(), ..ModelConfig::default() };
        let model = Model::new(&config, &Schema::new("test", 3, (32, 32), tasks), &Device::Cpu).unwrap();
        let (here, other) = (batch(1), batch(2));
        let input = |batch| StepInput { batch, step: 0, epoch: 0, compare: false };
        let cx = Ctx::train(Seed::new(1), 0);
        let weighted = |weights: [f64; 2]| {
            let weights = [("class".to_owned(), weights[0]), ("depth".to_owned(), weights[1])].into();
            let fixed = mtl_balance::Config::Fixed(mtl_balance::methods::fixed::Config { weights });
            let mut fixed = fixed.build(&model.objective_names()).unwrap();
            step(&model, &mut *fixed, &input(&here), &cx, &mut Seed::new(1).stream("b", &[])).unwrap()
        };
        let values =
            || -> Vec<Vec<f64>> { model.params.trainable().values().map(|v| mtl_tensor::to_f64(v).unwrap()).collect() };
        let before = values();
        let lr = 0.003;
        let ahead = Lookahead { other: &other, lr, primary: &[0] };
        let found = lookahead(&model, &input(&here), &weighted([1.0, 0.5]), ahead, &cx).unwrap().unwrap();
        assert_eq!(before, values());

        let vars = model.params.trainable();
        let loss = |weights: [f64; 2]| {
            let grads = weighted(weights).grads;
            let output = weighted([1.0, 0.5]);
            with_shifted_params(&vars, &grads, -lr, || losses_after(&model, &input(&other), &output, &cx)).unwrap()[0]
        };
        let little = 0.2;
        let slopes = [
            (loss([1.0 + little, 0.5]) - loss([1.0 - little, 0.5])) / (2.0 * little),
            (loss([1.0, 0.5 + little]) - loss([1.0, 0.5 - little])) / (2.0 * little),
        ];
        for (found, slope) in found.iter().zip(slopes) {
            assert!((found - slope).abs() < 0.1 * slope.abs() + 2e-6, "{found}, by definition {slope}");
        }
        assert!(found[0] < 0.0, "more weight on the primary task does not lower its loss: {found:?}");
    }
}
