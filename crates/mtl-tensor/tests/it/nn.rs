//! candle-nn's layers with our parameters.

use candle_nn::{Module, ModuleT, Optimizer as _};
use mtl_rng::Seed;
use mtl_tensor::layers::{BatchNorm, Conv2d, Linear};
use mtl_tensor::{DType, Device, Params, Result, Tensor, Var, backward, ops, to_f64};

fn numbers(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    let values = Seed::new(9).stream(name, &[]).normals(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

struct Mixed {
    params: Params,
    first: Conv2d,
    middle: candle_nn::Conv2d,
    last: Linear,
}

impl Mixed {
    fn new(seed: u64, dtype: DType) -> Result<Self> {
        let params = Params::new(Seed::new(seed), dtype, &Device::Cpu);
        let builder = params.scope("middle").var_builder();
        let config = candle_nn::Conv2dConfig { padding: 1, ..Default::default() };
        Ok(Self {
            first: Conv2d::new(&params.scope("first"), (2, 4), 3, 1, true)?,
            middle: candle_nn::conv2d(4, 3, 3, config, builder.pp("conv"))?,
            last: Linear::new(&params.scope("last"), 3, 2)?,
            params,
        })
    }

    fn loss(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.middle.forward(&ops::tanh(&self.first.forward(x)?)?)?;
        self.last.forward(&ops::global_avg_pool(&h.tanh()?)?)?.sqr()?.sum_all()
    }
}

#[test]
fn gradients_through_a_layer_of_candle_nn_are_central_differences() {
    const STEP: f64 = 1e-5;
    let model = Mixed::new(1, DType::F64).unwrap();
    let x = numbers("x", &[2, 2, 5, 4], DType::F64);
    let found = backward(&model.loss(&x).unwrap()).unwrap();
    let params = model.params.trainable();
    let names: Vec<&str> = params.keys().map(String::as_str).collect();
    let expected = ["first.bias", "first.weight", "last.bias", "last.weight", "middle.conv.bias", "middle.conv.weight"];
    assert_eq!(names, expected);
    for (name, var) in &params {
        let grad = to_f64(found.get(var).unwrap_or_else(|| panic!("{name} has no gradient"))).unwrap();
        let start = to_f64(var).unwrap();
        for at in (0..start.len()).step_by(5) {
            let moved = |h: f64| {
                let mut values = start.clone();
                values[at] += h;
                var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
                model.loss(&x).unwrap().to_scalar::<f64>().unwrap()
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (grad[at] - numeric).abs() < 1e-6 * grad[at].abs().max(1.0),
                "{name}[{at}]: {}, {numeric}",
                grad[at]
            );
        }
        var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

#[test]
fn optimizers_of_candle_nn_are_refused_with_words() {
    let model = Mixed::new(1, DType::F32).unwrap();
    let x = numbers("x", &[2, 2, 5, 4], DType::F32);
    let vars: Vec<Var> = model.params.trainable().into_values().collect();
    let before: Vec<Vec<f64>> = vars.iter().map(|var| to_f64(var).unwrap()).collect();
    let mut sgd = candle_nn::SGD::new(vars.clone(), 0.1).unwrap();
    let mut adam = candle_nn::AdamW::new_lr(vars.clone(), 0.1).unwrap();
    for result in [sgd.backward_step(&model.loss(&x).unwrap()), adam.backward_step(&model.loss(&x).unwrap())] {
        assert!(result.unwrap_err().to_string().contains("mtl_tensor::backward"));
    }
    let after: Vec<Vec<f64>> = vars.iter().map(|var| to_f64(var).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn parameters_are_seeded_by_name_and_saved_with_the_others() {
    let of = |seed: u64| {
        let model = Mixed::new(seed, DType::F32).unwrap();
        to_f64(&model.params.trainable()["middle.conv.weight"]).unwrap()
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let (from, to) = (Mixed::new(1, DType::F32).unwrap(), Mixed::new(2, DType::F32).unwrap());
    let saved = from.params.all().into_iter().map(|(name, var)| (name, var.as_tensor().detach())).collect();
    to.params.load(&saved).unwrap();
    let x = numbers("x", &[1, 2, 4, 4], DType::F32);
    let loss = |model: &Mixed| to_f64(&model.loss(&x).unwrap()).unwrap();
    assert_eq!(loss(&from), loss(&to));
}

#[test]
fn a_builder_gives_each_name_once_and_checks_shapes_and_types() {
    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let builder = params.scope("net").var_builder();
    let one = builder.get((2, 3), "weight").unwrap();
    let same = builder.get((2, 3), "weight").unwrap();
    assert_eq!(one.id(), same.id());
    assert!(builder.contains_tensor("weight") && !builder.contains_tensor("bias"));
    assert!(builder.get((3, 2), "weight").unwrap_err().to_string().contains("net.weight"));
    assert!(builder.get_with_hints_dtype(2, "half", Default::default(), DType::F16).is_err());
    let norm = candle_nn::batch_norm(4, 1e-5, builder.pp("norm")).unwrap();
    let names = |table: std::collections::BTreeMap<String, Var>| table.into_keys().collect::<Vec<_>>();
    assert_eq!(names(params.buffers()), ["net.norm.running_mean", "net.norm.running_var"]);
    assert_eq!(names(params.trainable()), ["net.norm.bias", "net.norm.weight", "net.weight"]);
    let x = numbers("x", &[4, 4, 3, 3], DType::F32);
    norm.forward_t(&x, true).unwrap();
    assert!(to_f64(&params.buffers()["net.norm.running_mean"]).unwrap().iter().all(|mean| *mean != 0.0));
}

/// Ours among candle-nn's.
#[test]
fn our_layers_are_modules() {
    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let conv = Conv2d::new(&params.scope("conv"), (2, 4), 3, 1, true).unwrap();
    let norm = BatchNorm::new(&params.scope("norm"), 4).unwrap();
    let x = numbers("x", &[2, 2, 5, 4], DType::F32);
    let expected = to_f64(&ops::relu(&conv.forward(&x).unwrap()).unwrap()).unwrap();
    let stack = candle_nn::seq().add(conv).add(candle_nn::Activation::Relu);
    let y = stack.forward(&x).unwrap();
    assert_eq!(to_f64(&y).unwrap(), expected);
    let train = norm.forward_t(&y, true).unwrap();
    assert_ne!(to_f64(&train).unwrap(), to_f64(&norm.forward_t(&y, false).unwrap()).unwrap());
}
