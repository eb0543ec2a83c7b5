//! Named tensors to and from the bytes of files. Writing files is left to the caller.

mod torch;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Bytes of a safetensors file: tensors in name order, `metadata` in its header. f32 and f64 only.
///
/// # Errors
/// Another number type.
pub fn to_bytes(tensors: &BTreeMap<String, Tensor>, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let flat = tensor.flatten_all()?.to_device(&Device::Cpu)?;
        let (dtype, bytes): (_, Vec<u8>) = match tensor.dtype() {
            DType::F32 => (Dtype::F32, flat.to_vec1::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect()),
            DType::F64 => (Dtype::F64, flat.to_vec1::<f64>()?.iter().flat_map(|v| v.to_le_bytes()).collect()),
            other => candle_core::bail!("`{name}` is {other:?}; only f32 and f64 are saved"),
        };
        parts.push((name.as_str(), dtype, tensor.dims().to_vec(), bytes));
    }
    let views = parts
        .iter()
        .map(|(name, dtype, dims, bytes)| {
            Ok((*name, TensorView::new(*dtype, dims.clone(), bytes).map_err(candle_core::Error::wrap)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = (!metadata.is_empty()).then(|| metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    safetensors::serialize(views, metadata).map_err(candle_core::Error::wrap)
}

/// The tensors of a safetensors file, on the CPU.
///
/// # Errors
/// Bytes that are not a safetensors file, or hold other types than f32 and f64.
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let file = SafeTensors::deserialize(bytes).map_err(candle_core::Error::wrap)?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let tensor = match view.dtype() {
                Dtype::F32 => {
                    let values: Vec<f32> =
                        view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                    Tensor::from_vec(values, view.shape(), &Device::Cpu)?
                }
                Dtype::F64 => {
                    let values: Vec<f64> = view
                        .data()
                        .chunks_exact(8)
                        .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                        .collect();
                    Tensor::from_vec(values, view.shape(), &Device::Cpu)?
                }
                other => candle_core::bail!("`{name}` is {other:?}; only f32 and f64 are read"),
            };
            Ok((name, tensor))
        })
        .collect()
}

/// The tensors of a file of other programs, on the CPU: a safetensors file, or a state dict that PyTorch's `torch.save` wrote, in
/// either of its formats (zip, and the older one of PyTorch before 1.6). Of any number type; contiguous tensors only.
///
/// No code of the file is run. Cost: the file's size again.
///
/// # Errors
/// A file of another kind, one that is cut short or damaged, a checkpoint that is no state dict.
pub fn read_weights(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    if let Some(tensors) = torch::read(bytes) {
        return tensors;
    }
    // Eight bytes of length, and a JSON object of that length.
    if bytes.get(8) != Some(&b'{') {
        return Err(candle_core::Error::Msg("neither a checkpoint of PyTorch nor a safetensors file".into()));
    }
    match candle_core::safetensors::load_buffer(bytes, &Device::Cpu) {
        Ok(tensors) => Ok(tensors.into_iter().collect()),
        Err(error) => {
            let problem = format!("a safetensors file that is cut short or damaged ({})", first_line(&error));
            Err(candle_core::Error::Msg(problem))
        }
    }
}

/// An error's message without its backtrace.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
