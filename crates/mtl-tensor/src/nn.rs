//! Models of candle-nn and candle-transformers with our parameters (feature `candle-nn`).
//!
//! [`Scope::var_builder`] is candle-nn's `VarBuilder` over a [`Scope`]: a model built with it has initial values that depend on the
//! seed and the parameter's name alone, and its parameters are trained, saved, loaded and averaged with all others. Our layers
//! are `candle_nn::Module` (`ModuleT` where training differs) without this feature too.
//!
//! Gradients come from [`backward`](crate::backward), which goes through our ops and candle's alike; candle-nn's own optimizers
//! (`backward_step`) are an error as soon as an op of ours is in the graph. Layers of candle-nn keep candle's gradients:
//! max-pooling and up-sampling of [`ops`](crate::ops) are right where candle's are not.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::init::{Init, NormalOrUniform};
use candle_nn::var_builder::SimpleBackend;
use mtl_rng::Stream;

use crate::Scope;

impl Scope {
    /// candle-nn's `VarBuilder` for this place in the name tree. A name that is used twice is one parameter, as with `VarMap`.
    /// `running_mean` and `running_var` become buffers.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let (dtype, device) = (self.params().dtype(), self.params().device().clone());
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device)
    }

    fn check_place(&self, name: &str, dtype: DType, device: &Device) -> Result<()> {
        let own = self.params();
        if dtype != own.dtype() || !device.same_device(own.device()) {
            candle_core::bail!(
                "`{}.{name}`: {dtype:?} on {:?} was required of parameters that are {:?} on {:?}",
                self.name(),
                device.location(),
                own.dtype(),
                own.device().location()
            );
        }
        Ok(())
    }

    fn existing(&self, name: &str) -> Option<Tensor> {
        self.params().all().get(&format!("{}.{name}", self.name())).map(|var| var.as_tensor().clone())
    }
}

impl SimpleBackend for Scope {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        self.check_place(name, dtype, device)?;
        if let Some(existing) = self.existing(name) {
            if existing.shape() != &shape {
                candle_core::bail!("`{}.{name}` is {:?}, not {shape:?}", self.name(), existing.shape());
            }
            return Ok(existing);
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let trained = !matches!(last, "running_mean" | "running_var");
        let values = |stream: &mut Stream, count: usize| initial(init, &shape, stream, count);
        Ok(self.insert(name, &shape, values, trained)?.as_tensor().clone())
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.check_place(name, dtype, device)?;
        match self.existing(name) {
            Some(existing) => Ok(existing),
            None => candle_core::bail!("no parameter is called `{}.{name}`, and its shape is not known", self.name()),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.existing(name).is_some()
    }
}

/// candle-nn's initial values from a named stream.
fn initial(init: Init, shape: &Shape, stream: &mut Stream, count: usize) -> Vec<f64> {
    let mut normal = |mean: f64, deviation: f64| (0..count).map(|_| mean + deviation * stream.normal()).collect();
    match init {
        Init::Const(value) => vec![value; count],
        Init::Randn { mean, stdev } => normal(mean, stdev),
        Init::Uniform { lo, up } => (0..count).map(|_| stream.range(lo, up)).collect(),
        Init::Kaiming { dist, fan, non_linearity } => {
            let deviation = non_linearity.gain() / (fan.for_shape(shape).max(1) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => normal(0.0, deviation),
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * deviation;
                    (0..count).map(|_| stream.range(-bound, bound)).collect()
                }
            }
        }
    }
}
