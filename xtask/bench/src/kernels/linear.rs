//! Fully connected layers: the tutorial's wide one, the encoder's last, the generator's first.

use mtl_tensor::ops;
use serde_json::json;

use super::{Operation, Part};
use crate::workload::Workload;

const SHAPES: &[(&str, usize, usize, usize)] = &[
    ("tutorial-hidden", 64, 32_768, 128),
    ("tutorial-classes", 64, 128, 10),
    ("vae-heads", 64, 4096, 128),
    ("generator-start", 64, 96, 8192),
    ("tutorial-hidden-one", 1, 32_768, 128),
];

/// Forward, gradient of the input, gradient of the weight of each.
pub fn workloads() -> Vec<Workload> {
    let one = |&(name, batch, from, to): &(&str, usize, usize, usize)| {
        let operation = Operation {
            family: "linear",
            shape: name.into(),
            case: json!({ "op": "linear" }),
            operands: vec![vec![1, from], vec![to, from], vec![to]],
            batch,
            flop: Some((2 * from * to) as f64),
            run: |_, x| ops::linear(&x[0], &x[1], &x[2]),
        };
        operation.workloads(&[Part::Forward, Part::Input, Part::Weight])
    };
    SHAPES.iter().flat_map(one).collect()
}
