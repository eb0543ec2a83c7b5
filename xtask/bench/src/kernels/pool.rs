//! Pooling.

use mtl_tensor::{Result, Tensor, ops};
use serde_json::{Value, json};

use super::{Operation, Part, number};
use crate::workload::Workload;

/// Forward and gradient of each.
pub fn workloads() -> Vec<Workload> {
    let one = |op: &str, name: &str, row: [usize; 3], run: fn(&Value, &[Tensor]) -> Result<Tensor>| {
        let operation = Operation {
            family: "pool",
            shape: name.into(),
            case: json!({ "op": op, "k": 2 }),
            operands: vec![[1].into_iter().chain(row).collect()],
            batch: 64,
            flop: None,
            run,
        };
        operation.workloads(&[Part::Forward, Part::Input])
    };
    let max = |case: &Value, x: &[Tensor]| ops::max_pool2d(&x[0], number(case, "k"));
    [
        one("max_pool2d", "max-tutorial-1", [64, 64, 64], max),
        one("max_pool2d", "max-tutorial-2", [128, 32, 32], max),
        one("avg_pool2d", "average", [64, 32, 32], |case, x| ops::avg_pool2d(&x[0], number(case, "k"))),
        one("global_avg_pool", "global-average", [128, 8, 8], |_, x| ops::global_avg_pool(&x[0])),
    ]
    .into_iter()
    .flatten()
    .collect()
}
