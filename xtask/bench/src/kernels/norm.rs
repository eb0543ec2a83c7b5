//! Normalisation with the ReLU that follows it.

use mtl_tensor::{Result, Tensor, ops};
use serde_json::{Value, json};

use super::{Operation, Part, number};
use crate::workload::Workload;

/// Forward and all gradients (input, scale, shift) of each.
pub fn workloads() -> Vec<Workload> {
    let one = |op: &str, name: &str, [c, h, w]: [usize; 3], run: fn(&Value, &[Tensor]) -> Result<Tensor>| {
        let operation = Operation {
            family: "norm",
            shape: name.into(),
            case: json!({ "op": op, "groups": c / 8 }),
            operands: vec![vec![1, c, h, w], vec![c], vec![c]],
            batch: 64,
            flop: None,
            run,
        };
        operation.workloads(&[Part::Forward, Part::All])
    };
    let batch: fn(&Value, &[Tensor]) -> Result<Tensor> = |_, x| Ok(ops::batch_norm(&x[0], &x[1], &x[2], true)?.0);
    [
        one("batch_norm", "batch-stage-1", [32, 32, 32], batch),
        one("batch_norm", "batch-stage-3", [128, 8, 8], batch),
        one("group_norm", "group-stage-1", [32, 32, 32], |case, x| {
            ops::group_norm(&x[0], &x[1], &x[2], number(case, "groups"), true)
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
