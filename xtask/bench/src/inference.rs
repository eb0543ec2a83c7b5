//! Inference of the joint model: logits of classification and segmentation, without gradients.

use mtl_tensor::{Ctx, with_constant_weights};
use serde_json::json;

use crate::inputs;
use crate::joint::{Model, SIDE, inference_flop};
use crate::workload::{Job, Workload};

/// See the module.
pub fn workload() -> Workload {
    Workload {
        name: "inference".into(),
        about: "logits of classes and masks of the joint model, running statistics; 3x64x64".into(),
        batches: vec![64, 1],
        kernel: false,
        case: json!({ "op": "inference" }),
        peers: vec!["torch"],
        flop: Box::new(|batch| Some(inference_flop(batch))),
        build: Box::new(|batch| {
            let (model, _) = Model::new()?;
            Ok(Box::new(Inference { model, images: inputs::images(batch, SIDE)? }))
        }),
    }
}

struct Inference {
    model: Model,
    images: mtl_tensor::Tensor,
}

impl Job for Inference {
    fn parameters(&self) -> usize {
        self.model.params.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let cx = Ctx::eval();
        with_constant_weights(|| self.model.logits(&self.model.trunk.forward(&self.images, &cx)?, &cx))?;
        Ok(None)
    }
}
