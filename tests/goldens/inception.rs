//! Weights of Inception-v3 by the formula of `inception.py`, and its reference results.

use std::collections::BTreeMap;

use mtl_tensor::{Device, Tensor, serial};

/// Numbers in [-0.5, 0.5): SplitMix64 of the name's FNV-1a hash.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (1..=count as u64).map(move |at| {
        let z = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24) - 0.5
    })
}

/// The tensors of `inception.safetensors`.
pub fn recorded() -> BTreeMap<String, Tensor> {
    let path = format!("{}/../../tests/goldens/inception.safetensors", env!("CARGO_MANIFEST_DIR"));
    serial::from_bytes(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

/// A state dict with every tensor of the network.
pub fn weights() -> BTreeMap<String, Tensor> {
    let tensor = |(name, shape): (String, Tensor)| {
        let name = name.strip_prefix("shape/")?.to_owned();
        let shape: Vec<usize> = shape.to_vec1::<f32>().unwrap().into_iter().map(|side| side as usize).collect();
        let (scale, shift) = if shape.len() > 1 {
            ((24.0 / shape[1..].iter().product::<usize>() as f64).sqrt(), 0.0)
        } else {
            (1.0, if name.ends_with(".bn.weight") || name.ends_with(".running_var") { 1.0 } else { 0.0 })
        };
        let values: Vec<f32> =
            uniform(&name, shape.iter().product()).map(|value| (value * scale + shift) as f32).collect();
        Some((name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()))
    };
    recorded().into_iter().filter_map(tensor).collect()
}
