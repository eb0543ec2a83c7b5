//! Convolutions. FLOP count the products of the definition, so algorithms that multiply less can pass the machine's peak.

use mtl_tensor::ops;
use serde_json::json;

use super::{Operation, Part, number};
use crate::workload::Workload;

/// Name, batch, input and output channels, height, width, kernel, stride, transposed.
type Shape = (&'static str, usize, usize, usize, usize, usize, usize, usize, bool);

const SHAPES: &[Shape] = &[
    ("tutorial-conv1", 64, 3, 64, 64, 64, 3, 1, false),
    ("tutorial-conv2", 64, 64, 128, 32, 32, 3, 1, false),
    ("tutorial-mask-1", 64, 128, 64, 16, 16, 3, 1, false),
    ("tutorial-mask-2", 64, 64, 3, 16, 16, 3, 1, false),
    ("tutorial-image-1", 64, 128, 64, 16, 16, 4, 2, true),
    ("tutorial-image-2", 64, 64, 3, 32, 32, 4, 2, true),
    ("resnet-s-stem", 64, 12, 32, 32, 32, 3, 1, false),
    ("resnet-s-stage-1", 64, 32, 32, 32, 32, 3, 1, false),
    ("resnet-s-down-2", 64, 32, 64, 32, 32, 3, 2, false),
    ("resnet-s-shortcut-2", 64, 32, 64, 32, 32, 1, 2, false),
    ("resnet-s-stage-2", 64, 64, 64, 16, 16, 3, 1, false),
    ("resnet-s-down-3", 64, 64, 128, 16, 16, 3, 2, false),
    ("resnet-s-stage-3", 64, 128, 128, 8, 8, 3, 1, false),
    ("decoder-up-4", 64, 192, 64, 16, 16, 3, 1, false),
    ("decoder-up-2", 64, 96, 32, 32, 32, 3, 1, false),
    ("resnet-xs-stage-1", 64, 24, 24, 16, 16, 3, 1, false),
    ("vae-mix", 64, 384, 64, 8, 8, 1, 1, false),
    ("4x4-stride-2", 64, 64, 128, 16, 16, 4, 2, false),
    ("resnet-s-stage-1-one", 1, 32, 32, 32, 32, 3, 1, false),
];

/// Forward, gradient of the input, gradient of the weight of each.
pub fn workloads() -> Vec<Workload> {
    SHAPES.iter().flat_map(|shape| operation(shape).workloads(&[Part::Forward, Part::Input, Part::Weight])).collect()
}

fn operation(&(name, batch, from, to, height, width, k, stride, transposed): &Shape) -> Operation {
    let padding = if k == 4 { 1 } else { k / 2 };
    let out = |side: usize| (side + 2 * padding - k) / stride + 1;
    let pixels = if transposed { height * width } else { out(height) * out(width) };
    Operation {
        family: "conv",
        shape: name.into(),
        case: json!({
            "op": if transposed { "conv_transpose2d" } else { "conv2d" }, "stride": stride, "padding": padding,
        }),
        operands: vec![
            vec![1, from, height, width],
            if transposed { vec![from, to, k, k] } else { vec![to, from, k, k] },
        ],
        batch,
        flop: Some((2 * pixels * from * to * k * k) as f64),
        run: if transposed {
            |case, x| ops::conv_transpose2d(&x[0], &x[1], None, number(case, "stride"), number(case, "padding"))
        } else {
            |case, x| ops::conv2d(&x[0], &x[1], None, number(case, "stride"), number(case, "padding"))
        },
    }
}
