//! Changes of size.

use mtl_tensor::{Result, Tensor, ops};
use serde_json::{Value, json};

use super::{Operation, Part, number};
use crate::workload::Workload;

/// Forward and gradient of each.
pub fn workloads() -> Vec<Workload> {
    let one = |op: &str, name: &str, row: [usize; 3], k: usize, run: fn(&Value, &[Tensor]) -> Result<Tensor>| {
        let operation = Operation {
            family: "resize",
            shape: name.into(),
            case: json!({ "op": op, "k": k, "height": row[1] * k, "width": row[2] * k }),
            operands: vec![[1].into_iter().chain(row).collect()],
            batch: 64,
            flop: None,
            run,
        };
        operation.workloads(&[Part::Forward, Part::Input])
    };
    [
        one("upsample_nearest", "nearest", [64, 16, 16], 2, |case, x| ops::upsample_nearest(&x[0], number(case, "k"))),
        one("upsample_bilinear", "bilinear", [3, 16, 16], 4, |case, x| {
            ops::upsample_bilinear(&x[0], number(case, "height"), number(case, "width"))
        }),
        one("pixel_shuffle", "shuffle", [12, 32, 32], 2, |case, x| ops::pixel_shuffle(&x[0], number(case, "k"))),
        one("pixel_unshuffle", "unshuffle", [3, 64, 64], 2, |case, x| ops::pixel_unshuffle(&x[0], number(case, "k"))),
    ]
    .into_iter()
    .flatten()
    .collect()
}
