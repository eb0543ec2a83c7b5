//! Tutorial model: one training step of two convolutions, three heads and three losses, with AdamW.
//!
//! The model of a multi-task learning tutorial. Mask and image are compared at the resolution of the last layer, without
//! interpolation or tanh, so that the model takes a few lines in every framework.

use mtl_rng::Seed;
use mtl_tensor::layers::{Conv2d, ConvTranspose2d, Linear};
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Ctx, DType, Params, Tensor};
use mtl_trunk::Trunk;
use serde_json::json;

use crate::inputs;
use crate::workload::{Job, Learner, Workload};

const SIDE: usize = 64;
const CLASSES: usize = 10;
const HIDDEN: usize = 128;

/// See the module.
pub fn workload() -> Workload {
    Workload {
        name: "tutorial".into(),
        about: "training step: conv 64, conv 128 with pools; class, mask and image heads; AdamW; 3x64x64".into(),
        batches: vec![64, 8, 1],
        kernel: false,
        case: json!({ "op": "tutorial" }),
        peers: vec!["torch", "candle", "burn"],
        flop: Box::new(|batch| Some(flop(batch))),
        build: Box::new(|batch| Ok(Box::new(Tutorial::new(batch)?))),
    }
}

/// Forward pass, gradient of the inputs and gradient of the weights need the same number of products; the images need no gradient.
fn flop(batch: usize) -> f64 {
    let half = SIDE / 2;
    let quarter = SIDE / 4;
    let first = SIDE * SIDE * 3 * 64 * 9;
    let products = first
        + half * half * 64 * 128 * 9
        + quarter * quarter * 128 * HIDDEN
        + HIDDEN * CLASSES
        + quarter * quarter * (128 * 64 + 64 * 3) * 9
        + quarter * quarter * 128 * 64 * 16
        + half * half * 64 * 3 * 16;
    2.0 * batch as f64 * (3 * products - first) as f64
}

struct Tutorial {
    learner: Learner,
    trunk: Box<dyn Trunk>,
    class: [Linear; 2],
    mask: [Conv2d; 2],
    image: [ConvTranspose2d; 2],
    images: Tensor,
    pixels: Vec<f32>,
    labels: Vec<i32>,
    masks: Vec<f32>,
    steps: u64,
}

impl Tutorial {
    fn new(batch: usize) -> anyhow::Result<Self> {
        let params = Params::new(Seed::new(1), DType::F32, inputs::device());
        let config = mtl_trunk::Config::Convnet(mtl_trunk::convnet::Config::default());
        let trunk = config.build(&params.scope("trunk"), 3)?;
        let flat = 128 * (SIDE / 4) * (SIDE / 4);
        let at = |name: &str| params.scope(name);
        let class = [Linear::new(&at("class1"), flat, HIDDEN)?, Linear::new(&at("class2"), HIDDEN, CLASSES)?];
        let mask = [Conv2d::new(&at("mask1"), (128, 64), 3, 1, true)?, Conv2d::new(&at("mask2"), (64, 3), 3, 1, true)?];
        let image = [ConvTranspose2d::new(&at("image1"), (128, 64))?, ConvTranspose2d::new(&at("image2"), (64, 3))?];
        let images = inputs::images(batch, SIDE)?;
        Ok(Self {
            trunk,
            class,
            mask,
            image,
            pixels: inputs::values(&images)?,
            images,
            labels: inputs::labels("classes", batch, CLASSES),
            masks: inputs::values(&inputs::normals("masks", &[batch, 3, SIDE / 4, SIDE / 4])?)?,
            learner: Learner::new(params)?,
            steps: 0,
        })
    }
}

impl Job for Tutorial {
    fn parameters(&self) -> usize {
        self.learner.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let features = self.trunk.forward(&self.images, &Ctx::train(Seed::new(4), self.steps))?;
        self.steps += 1;
        let deep = features.deepest()?;
        let [hidden, last] = &self.class;
        let logits = last.forward(&ops::relu(&hidden.forward(deep)?)?)?;
        let mask = self.mask[1].forward(&self.mask[0].forward_relu(deep)?)?;
        let image = self.image[1].forward(&self.image[0].forward_relu(deep)?)?;
        let class = loss::cross_entropy(&logits, &self.labels, &loss::ClassWeighting::default())?;
        let total = ((class + loss::mean_squared(&mask, &self.masks)?)? + loss::mean_squared(&image, &self.pixels)?)?;
        self.learner.descend(total)
    }
}
