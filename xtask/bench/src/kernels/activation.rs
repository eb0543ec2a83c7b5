//! Activations, on the largest map of the tutorial and on one of the resnet.

use mtl_tensor::{Result, Tensor, ops};
use serde_json::{Value, json};

use super::{Operation, Part};
use crate::workload::Workload;

/// An operation on tensors, with the numbers of its case.
type Run = fn(&Value, &[Tensor]) -> Result<Tensor>;

/// Forward and gradient of each.
pub fn workloads() -> Vec<Workload> {
    let one = |op: &str, row: [usize; 3], operands: usize, run: Run| {
        let shape: Vec<usize> = [1].into_iter().chain(row).collect();
        let operation = Operation {
            family: "activation",
            shape: format!("{op}-{}x{}x{}", row[0], row[1], row[2]),
            // Both operands of a sum have one row per image.
            case: json!({ "op": op, "rows": operands > 1 }),
            operands: vec![shape; operands],
            batch: 64,
            flop: None,
            run,
        };
        operation.workloads(&[Part::Forward, if operands > 1 { Part::All } else { Part::Input }])
    };
    [
        one("relu", [64, 64, 64], 1, |_, x| ops::relu(&x[0])),
        one("leaky_relu", [64, 8, 8], 1, |_, x| ops::leaky_relu(&x[0], 0.2)),
        one("add_relu", [32, 32, 32], 2, |_, x| ops::add_relu(&x[0], &x[1])),
        one("tanh", [3, 64, 64], 1, |_, x| ops::tanh(&x[0])),
        one("softplus", [64, 16, 16], 1, |_, x| ops::softplus(&x[0])),
    ]
    .into_iter()
    .flatten()
    .collect()
}
