//! The file of weights: every tensor by name and shape, and batch norms folded into the convolutions.

use std::collections::BTreeMap;

use mtl_tensor::{DType, Device, Tensor, serial, to_f64};

/// Of every batch norm.
const EPSILON: f64 = 1e-3;
/// Shape of the last layer, which features do not go through. It tells this network from others.
const LAST: [usize; 2] = [1008, 2048];

/// The tensors of a file that no layer has taken yet.
pub(super) struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Reads a file. The message says what it holds instead of the network.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("the file is empty".into());
        }
        let tensors = serial::read_weights(bytes).map_err(|error| error.to_string())?;
        let last = tensors.get("fc.weight").map(|tensor| tensor.dims().to_vec());
        if tensors.keys().any(|name| name.starts_with("AuxLogits.")) || last == Some(vec![1000, 2048]) {
            return Err(
                "torchvision's Inception-v3 (1000 classes), which is another network: its features give no FID".into(),
            );
        }
        if !tensors.contains_key("Conv2d_1a_3x3.conv.weight") {
            let first = tensors.keys().next().map_or_else(String::new, |name| format!(", the first is `{name}`"));
            return Err(format!("weights of another network ({} tensors{first})", tensors.len()));
        }
        let mut weights = Self(tensors);
        weights.take("fc.weight", &LAST)?;
        weights.take("fc.bias", &LAST[..1])?;
        Ok(weights)
    }

    /// Takes out a tensor with finite numbers.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>, String> {
        let tensor = self.0.remove(name).ok_or_else(|| format!("`{name}` is missing"))?;
        if tensor.dims() != shape {
            return Err(format!("`{name}` has the shape {:?} instead of {shape:?}", tensor.dims()));
        }
        let numbers = tensor.to_dtype(DType::F64).and_then(|tensor| to_f64(&tensor));
        let numbers = numbers.map_err(|error| format!("`{name}`: {error}"))?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(format!("`{name}` holds numbers that are not finite"));
        }
        Ok(numbers)
    }

    /// Weight `[to, from, height, width]` and bias of a convolution that does what the convolution and its batch norm do.
    pub fn folded(&mut self, name: &str, shape: [usize; 4], device: &Device) -> Result<(Tensor, Tensor), String> {
        let weight = self.take(&format!("{name}.conv.weight"), &shape)?;
        let mut norm = |part: &str| self.take(&format!("{name}.bn.{part}"), &shape[..1]);
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        if variance.iter().any(|variance| *variance < 0.0) {
            return Err(format!("`{name}.bn.running_var` is negative"));
        }
        let scale: Vec<f64> =
            gamma.iter().zip(&variance).map(|(gamma, variance)| gamma / (variance + EPSILON).sqrt()).collect();
        let rows = weight.chunks_exact(shape[1..].iter().product()).zip(&scale);
        let weight: Vec<f32> =
            rows.flat_map(|(row, scale)| row.iter().map(move |weight| (weight * scale) as f32)).collect();
        let bias: Vec<f32> =
            beta.iter().zip(&mean).zip(&scale).map(|((beta, mean), scale)| (beta - mean * scale) as f32).collect();
        let tensors = Tensor::from_vec(weight, &shape, device).and_then(|weight| {
            let bias = Tensor::from_vec(bias, shape[0], device)?;
            Ok((weight, bias))
        });
        tensors.map_err(|error| format!("`{name}`: {error}"))
    }

    /// Checks that all tensors were taken. Counters of training steps, which PyTorch adds, mean nothing here.
    pub fn finish(self) -> Result<(), String> {
        let mut others = self.0.keys().filter(|name| !name.ends_with(".bn.num_batches_tracked"));
        match others.next() {
            Some(first) => Err(format!("`{first}` and {} more tensors are not of this network", others.count())),
            None => Ok(()),
        }
    }
}
