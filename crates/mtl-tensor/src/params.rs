//! Named parameters with seeded initial values.
//!
//! A parameter's first value depends on the seed and its name alone, so adding a head never changes the trunk's start,
//! and parameters are kept sorted by name, so every process sees them in one order (candle's `VarMap` is a hash map).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use mtl_rng::{Seed, Stream};

/// Distribution of a parameter's first value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All equal.
    Constant(f64),
    /// Normal with standard deviation `gain / sqrt(fan_in)` (He et al. 2015 with `gain = sqrt 2`).
    Normal {
        /// Inputs that are summed.
        fan_in: usize,
        /// Multiplies the deviation.
        gain: f64,
    },
    /// Uniform in `+- 1 / sqrt(fan_in)`: PyTorch's default for convolutions and linear layers.
    Uniform {
        /// Inputs that are summed.
        fan_in: usize,
    },
}

impl Init {
    fn values(self, stream: &mut Stream, count: usize) -> Vec<f64> {
        match self {
            Self::Constant(value) => vec![value; count],
            Self::Normal { fan_in, gain } => {
                (0..count).map(|_| stream.normal() * gain / (fan_in.max(1) as f64).sqrt()).collect()
            }
            Self::Uniform { fan_in } => {
                let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
                (0..count).map(|_| stream.range(-bound, bound)).collect()
            }
        }
    }
}

#[derive(Debug, Default)]
struct Tables {
    trainable: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
}

/// All parameters of a model, and its buffers (running statistics, saved but not trained).
#[derive(Clone, Debug)]
pub struct Params {
    tables: Arc<Mutex<Tables>>,
    seed: Seed,
    dtype: DType,
    device: Device,
}

impl Params {
    /// An empty store. `dtype` is f32, or f64 for gradient checks.
    pub fn new(seed: Seed, dtype: DType, device: &Device) -> Self {
        Self { tables: Arc::default(), seed, dtype, device: device.clone() }
    }

    /// The root of a model's names: parameters get the prefix `name`.
    pub fn scope(&self, name: &str) -> Scope {
        Scope { params: self.clone(), prefix: name.to_owned() }
    }

    /// Trainable parameters by name.
    pub fn trainable(&self) -> BTreeMap<String, Var> {
        self.lock().trainable.clone()
    }

    /// Buffers by name.
    pub fn buffers(&self) -> BTreeMap<String, Var> {
        self.lock().buffers.clone()
    }

    /// Parameters and buffers by name.
    pub fn all(&self) -> BTreeMap<String, Var> {
        let tables = self.lock();
        tables.trainable.iter().chain(&tables.buffers).map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Number of trainable values.
    pub fn count(&self) -> usize {
        self.lock().trainable.values().map(|var| var.elem_count()).sum()
    }

    /// Device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Their number type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sets every parameter and buffer from `values`.
    ///
    /// # Errors
    /// Names or shapes that differ; the message lists every difference, and nothing has been changed.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let own = self.all();
        let mut wrong = Vec::new();
        for (name, var) in &own {
            match values.get(name) {
                None => wrong.push(format!("`{name}` {:?} is missing", var.dims())),
                Some(value) if value.dims() != var.dims() => {
                    wrong.push(format!("`{name}` is {:?} in the file and {:?} in the model", value.dims(), var.dims()));
                }
                Some(_) => {}
            }
        }
        wrong.extend(
            values.keys().filter(|name| !own.contains_key(*name)).map(|name| format!("`{name}` is not in the model")),
        );
        if !wrong.is_empty() {
            let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("; ");
            let more = wrong.len().saturating_sub(8);
            let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
            candle_core::bail!("these weights belong to another model: {shown}{tail}");
        }
        for (name, var) in &own {
            var.set(&values[name].to_dtype(self.dtype)?.to_device(&self.device)?)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        // A poisoned table is still whole: entries are only ever inserted.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the name tree of [`Params`].
#[derive(Clone, Debug)]
pub struct Scope {
    params: Params,
    prefix: String,
}

impl Scope {
    /// A place below this one: `trunk` -> `trunk.stem`.
    pub fn sub(&self, name: impl std::fmt::Display) -> Self {
        Self { params: self.params.clone(), prefix: format!("{}.{name}", self.prefix) }
    }

    /// [`Scope::sub`] by the name of candle's `VarBuilder`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        self.sub(name)
    }

    /// The full name of this place.
    pub fn name(&self) -> &str {
        &self.prefix
    }

    /// The store this place belongs to.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A trainable parameter.
    ///
    /// # Errors
    /// The name is taken.
    pub fn param(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Var> {
        self.insert(name, &shape.into(), |stream, count| init.values(stream, count), true)
    }

    /// A buffer: saved with the model, averaged with its weights, not trainable.
    ///
    /// # Errors
    /// The name is taken.
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Var> {
        self.insert(name, &shape.into(), |stream, count| init.values(stream, count), false)
    }

    /// A parameter or buffer with `values(stream, count)` of the random stream that belongs to its name.
    pub(crate) fn insert(
        &self,
        name: &str,
        shape: &Shape,
        values: impl FnOnce(&mut Stream, usize) -> Vec<f64>,
        trainable: bool,
    ) -> Result<Var> {
        let full = format!("{}.{name}", self.prefix);
        let values = values(&mut self.params.seed.stream(&format!("init/{full}"), &[]), shape.elem_count());
        // Converted on the host: not every accelerator supports double precision.
        let value = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(self.params.dtype)?;
        let var = Var::from_tensor(&value.to_device(&self.params.device)?)?;
        let mut tables = self.params.lock();
        if tables.trainable.contains_key(&full) || tables.buffers.contains_key(&full) {
            candle_core::bail!("parameter name `{full}` is used twice");
        }
        let table = if trainable { &mut tables.trainable } else { &mut tables.buffers };
        table.insert(full, var.clone());
        Ok(var)
    }
}
