//! Losses: value and gradient together, as ours compute both at once.

use mtl_tensor::ops::loss;
use mtl_tensor::{Result, Tensor, Var, backward};
use serde_json::json;

use crate::inputs;
use crate::workload::{Repeated, Workload};

/// Classes or channels and pixels of an image, the loss of predictions with labels and with targets.
type Shape = (&'static str, &'static str, &'static [usize], fn(&Tensor, &[i32], &[f32]) -> Result<Tensor>);

const SHAPES: &[Shape] = &[
    ("cross_entropy", "class", &[10], |x, labels, _| loss::cross_entropy(x, labels, &Default::default())),
    ("cross_entropy", "mask", &[3, 64, 64], |x, labels, _| loss::cross_entropy(x, labels, &Default::default())),
    ("dice", "dice", &[3, 64, 64], |x, labels, _| loss::dice(x, labels)),
    ("mean_squared", "mean-squared", &[3, 64, 64], |x, _, targets| loss::mean_squared(x, targets)),
    ("binary_cross_entropy", "labels", &[40], |x, _, targets| loss::binary_cross_entropy(x, targets, None)),
    ("huber", "depth", &[1, 64, 64], |x, _, targets| loss::huber(x, targets, 0.1)),
];

/// See the module.
pub fn workloads() -> Vec<Workload> {
    SHAPES.iter().map(workload).collect()
}

fn workload(&(op, name, row, run): &Shape) -> Workload {
    let shape = [&[1], row].concat();
    Workload {
        name: format!("loss/{name}/both"),
        about: format!("value and gradient of {op}"),
        batches: vec![64],
        kernel: true,
        case: json!({ "op": op, "part": "both", "shapes": [shape] }),
        peers: vec!["torch"],
        flop: Box::new(|_| None),
        build: Box::new(move |batch| {
            let shape = [&[batch], row].concat();
            let x = Var::from_tensor(&inputs::normals("predictions", &shape)?)?;
            let labels = inputs::labels("labels", batch * row[1..].iter().product::<usize>(), row[0]);
            // Targets of 0 or 1 are valid for every loss with real targets.
            let targets: Vec<f32> =
                inputs::labels("targets", x.elem_count(), 2).into_iter().map(|t| t as f32).collect();
            Ok(Box::new(Repeated(move || {
                backward(&run(&x, &labels, &targets)?)?;
                Ok(())
            })))
        }),
    }
}
