//! The joint model (`resnet` trunk, classification and segmentation heads, VAE): one training step.

use mtl_gen::vae::{self, Vae};
use mtl_gen::{GeneratorInput, JointObjective};
use mtl_heads::{Config, Head, HeadInput, classification};
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::{Ctx, DType, Params, Tensor};
use mtl_trunk::{Features, Trunk};
use serde_json::json;

use crate::inputs;
use crate::workload::{Job, Learner, Workload};

/// Side of the images.
pub const SIDE: usize = 64;
const CLASSES: usize = 10;
const PARTS: usize = 3;

/// A training step.
pub fn workload() -> Workload {
    Workload {
        name: "joint".into(),
        about: "training step: resnet s, class head, U-Net mask head, VAE; one backward pass, AdamW; 3x64x64".into(),
        batches: vec![64],
        kernel: false,
        case: json!({ "op": "joint" }),
        peers: vec!["torch"],
        flop: Box::new(|batch| Some(training_flop(batch))),
        build: Box::new(|batch| Ok(Box::new(Joint::new(batch)?))),
    }
}

/// Convolutions and linear maps: count, input and output channels, kernel, side of the output.
type Products = [usize; 5];

const STEM: Products = [1, 12, 32, 3, 32];
const TRUNK: &[Products] = &[
    [4, 32, 32, 3, 32],
    [1, 32, 64, 3, 16],
    [3, 64, 64, 3, 16],
    [1, 32, 64, 1, 16],
    [1, 64, 128, 3, 8],
    [3, 128, 128, 3, 8],
    [1, 64, 128, 1, 8],
];
const HEADS: &[Products] =
    &[[1, 224, CLASSES, 1, 1], [1, 192, 64, 3, 16], [1, 96, 32, 3, 32], [1, 32, 4 * PARTS, 3, 32]];
const VAE: &[Products] = &[
    [1, 384, 64, 1, 8],
    [1, 4096, 128, 1, 1],
    [1, 96, 2048, 1, 1],
    [1, 128, 128, 3, 8],
    [1, 128, 64, 3, 16],
    [1, 64, 48, 3, 32],
    [1, 48, 16, 3, 32],
    [1, 16, 3, 3, 64],
];

fn products(layers: &[Products]) -> usize {
    layers.iter().map(|[times, from, to, k, side]| times * from * to * k * k * side * side).sum()
}

/// Additions and multiplications of trunk and heads, forward.
pub fn inference_flop(batch: usize) -> f64 {
    2.0 * (batch * (products(&[STEM]) + products(TRUNK) + products(HEADS))) as f64
}

/// Forward pass, gradient of the inputs and gradient of the weights need the same number of products; the images need no gradient.
fn training_flop(batch: usize) -> f64 {
    let all = products(&[STEM]) + products(TRUNK) + products(HEADS) + products(VAE);
    2.0 * (batch * (3 * all - products(&[STEM]))) as f64
}

/// Trunk and labelled heads.
pub struct Model {
    /// Every parameter.
    pub params: Params,
    /// The shared encoder.
    pub trunk: Box<dyn Trunk>,
    /// Classes, then masks.
    pub heads: [Box<dyn Head>; 2],
}

impl Model {
    /// With initial weights.
    ///
    /// # Errors
    /// A trunk that is not registered.
    pub fn new() -> anyhow::Result<(Self, mtl_trunk::Config)> {
        let params = Params::new(Seed::new(1), DType::F32, inputs::device());
        let config = mtl_trunk::Config::default_of("resnet")?;
        let trunk = config.build(&params.scope("trunk"), 3)?;
        let input =
            HeadInput { taps: trunk.taps().to_vec(), height: SIDE, width: SIDE, class_counts: None, values: None };
        let names = |count: usize| (0..count).map(|class| class.to_string()).collect();
        let head = |config: &Config, task: Task| config.build(&params.scope("heads").sub(&task.name), &task, &input);
        // Without dropout: its random numbers differ between frameworks, the rest of the step does not.
        let plain = Config::Classification(classification::Config { dropout: 0.0, ..Default::default() });
        let class = head(&plain, Task::new("class", TaskKind::Classification { classes: names(CLASSES) }))?;
        let parts = TaskKind::Segmentation { classes: names(PARTS) };
        let mask = head(&Config::for_task(&parts), Task::new("mask", parts))?;
        Ok((Self { params, trunk, heads: [class, mask] }, config))
    }

    /// Logits of both heads.
    ///
    /// # Errors
    /// Images of another size.
    pub fn logits(&self, features: &Features, cx: &Ctx) -> anyhow::Result<[Tensor; 2]> {
        let [class, mask] = &self.heads;
        Ok([class.forward(features, cx)?, mask.forward(features, cx)?])
    }
}

struct Joint {
    model: Model,
    vae: Vae,
    learner: Learner,
    images: Tensor,
    classes: Vec<i32>,
    targets: [Target; 2],
    steps: u64,
}

impl Joint {
    fn new(batch: usize) -> anyhow::Result<Self> {
        let (model, trunk) = Model::new()?;
        let taps = model.trunk.taps();
        let input = GeneratorInput { trunk: &trunk, taps, size: (SIDE, SIDE), channels: 3, classes: CLASSES };
        let vae = Vae::new(&vae::Config::default(), &model.params.scope("vae"), &input)?;
        let classes = inputs::labels("classes", batch, CLASSES);
        let mask = inputs::labels("masks", batch * SIDE * SIDE, PARTS).into_iter().map(|part| part as u8).collect();
        Ok(Self {
            learner: Learner::new(model.params.clone())?,
            model,
            vae,
            images: inputs::images(batch, SIDE)?,
            targets: [Target::Class(classes.clone()), Target::Mask(mask)],
            classes,
            steps: 0,
        })
    }
}

impl Job for Joint {
    fn parameters(&self) -> usize {
        self.learner.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let cx = Ctx::train(Seed::new(4), self.steps);
        self.steps += 1;
        let features = self.model.trunk.forward(&self.images, &cx)?;
        let mut total = self.vae.loss(&features, &self.images, &self.classes, &cx)?.total;
        let logits = self.model.logits(&features, &cx)?;
        for ((head, logits), target) in self.model.heads.iter().zip(&logits).zip(&self.targets) {
            if let Some(loss) = head.loss(logits, target)? {
                total = (total + loss)?;
            }
        }
        self.learner.descend(total)
    }
}
