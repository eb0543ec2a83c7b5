//! Updates of all parameters of a model at once.

use std::collections::BTreeMap;

use mtl_tensor::Var;
use mtl_tensor::optim::{Averaging, Config, Ema, Optimizer};
use serde_json::json;

use crate::inputs;
use crate::workload::{Repeated, Workload};

/// One large matrix, and many small kernels.
const SHAPES: &[(&str, &[usize], usize)] = &[("matrix", &[128, 32_768], 1), ("kernels", &[64, 64, 3, 3], 32)];

/// AdamW and the weight average of each.
pub fn workloads() -> Vec<Workload> {
    SHAPES
        .iter()
        .flat_map(|&(name, shape, count)| ["adamw", "average"].map(|op| workload(op, name, shape, count)))
        .collect()
}

fn workload(op: &'static str, name: &str, shape: &'static [usize], count: usize) -> Workload {
    Workload {
        name: format!("optimizer/{name}/{op}"),
        about: format!("{op} of {count} parameters of {shape:?}"),
        batches: vec![1],
        kernel: true,
        case: json!({ "op": op, "part": op, "shapes": [shape], "count": count }),
        peers: vec!["torch"],
        flop: Box::new(|_| None),
        build: Box::new(move |_| {
            let (mut params, mut grads) = (BTreeMap::new(), BTreeMap::new());
            for at in 0..count {
                params.insert(at.to_string(), Var::from_tensor(&inputs::normals("parameter", shape)?)?);
                grads.insert(at.to_string(), inputs::normals("gradient", shape)?);
            }
            if op == "average" {
                let mut average = Ema::new(Averaging::Decay(0.99), &params)?;
                return Ok(Box::new(Repeated(move || Ok(average.update()?))));
            }
            let mut optimizer = Optimizer::new(Config::default(), &params, |_| 1.0)?;
            Ok(Box::new(Repeated(move || Ok(optimizer.step(&grads, 1e-3, 1.0)?))))
        }),
    }
}
