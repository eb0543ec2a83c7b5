//! GAN: one training step (discriminator, generator, weight average), and sampling.
//!
//! The step consists of the same parts as in `mtl-train`, with the settings of its preset `small`; the training loop itself
//! needs a data set and a run folder.

use mtl_gen::gan::{self, Gan, Mode};
use mtl_gen::{Batch, Generator, GeneratorInput, Phase, Prepare, Sampling};
use mtl_rng::{Seed, Stream};
use mtl_tensor::optim::{Averaging, Ema, Optimizer, collect, global_norm};
use mtl_tensor::{Ctx, DType, Params, Tensor, backward};
use mtl_train::Config;
use mtl_trunk::Trunk;
use serde_json::json;

use crate::inputs;
use crate::workload::{Job, Workload};

/// Classes of the built-in scenes.
const CLASSES: usize = 6;
/// Side of the images of the preset.
const SIDE: usize = 32;
/// Batches of training images whose features are matched: about 2,000 images, as many as the preset has.
const REFERENCE_BATCHES: usize = 62;

fn settings() -> anyhow::Result<Config> {
    Ok(mtl_train::config::load::load("small", None, &[])?)
}

/// Training steps of the modes of short and of long runs.
pub fn workloads() -> Vec<Workload> {
    let about = |of: &str| format!("training step of the GAN, {of}; generator, weight average; 3x32x32");
    vec![
        workload("gan", Mode::Frozen, about("heads on the frozen trunk and on two untrained ones")),
        workload("gan-hybrid", Mode::Hybrid, about("a trunk of the discriminator's own and heads on the frozen one")),
    ]
}

fn workload(name: &str, mode: Mode, about: String) -> Workload {
    let batch = settings().map_or(32, |config| config.batch("gan"));
    let random_trunks = mtl_gen::gan::Config::default().random_trunks;
    Workload {
        name: name.into(),
        about,
        batches: vec![batch],
        kernel: false,
        case: json!({
            "op": "gan", "side": SIDE, "classes": CLASSES, "mode": mode, "random_trunks": random_trunks,
            "reference_batches": REFERENCE_BATCHES,
        }),
        peers: vec!["torch"],
        flop: Box::new(|_| None),
        build: Box::new(move |batch| Ok(Box::new(Step::new(batch, mode)?))),
    }
}

/// Sampling.
pub fn drawing() -> Workload {
    Workload {
        name: "generate".into(),
        about: "images sampled by the GAN's generator, latents included; 3x32x32".into(),
        batches: vec![64],
        kernel: false,
        case: json!({ "op": "generate", "side": SIDE, "classes": CLASSES }),
        peers: vec!["torch"],
        flop: Box::new(|_| None),
        build: Box::new(|batch| {
            let (model, _) = Model::new(Mode::Frozen)?;
            let own = model.params.trainable();
            let drawn = format!("{}.", model.gan.sampled());
            let parameters = own.iter().filter(|(name, _)| name.starts_with(&drawn)).map(|(_, var)| var.elem_count());
            Ok(Box::new(Drawing {
                parameters: parameters.sum(),
                gan: model.gan,
                labels: classes(batch),
                stream: Seed::new(3).stream("drawing", &[]),
            }))
        }),
    }
}

fn classes(batch: usize) -> Vec<i32> {
    (0..batch).map(|at| (at % CLASSES) as i32).collect()
}

struct Model {
    params: Params,
    trunk: Box<dyn Trunk>,
    gan: Gan,
}

impl Model {
    fn new(mode: Mode) -> anyhow::Result<(Self, Config)> {
        let config = settings()?;
        let params = Params::new(Seed::new(1), DType::F32, inputs::device());
        let trunk = config.model.trunk.build(&params.scope("trunk"), 3)?;
        let size = (SIDE, SIDE);
        let (trunk_config, taps) = (&config.model.trunk, trunk.taps());
        let input = GeneratorInput { trunk: trunk_config, taps, size, channels: 3, classes: CLASSES };
        let mtl_gen::Config::Gan(gan) = &config.generators["gan"] else { anyhow::bail!("the preset has no GAN") };
        let gan = gan::Config { mode, ..gan.clone() };
        let gan = Gan::new(&gan, &params.scope("gan"), &input)?;
        Ok((Self { params, trunk, gan }, config))
    }
}

struct Step {
    model: Model,
    phases: Vec<(Phase, Optimizer)>,
    average: Ema,
    clip: f64,
    images: Tensor,
    classes: Vec<i32>,
    steps: u64,
}

impl Step {
    fn new(batch: usize, mode: Mode) -> anyhow::Result<Self> {
        let (model, config) = Model::new(mode)?;
        let images = inputs::images(batch, SIDE)?;
        let trunk = &*model.trunk;
        model.gan.prepare(&Prepare { trunk_name: "trunk", trunk, images: &images, generator: &|_| None })?;
        if let Some(mut fit) = model.gan.reference_fit() {
            for _ in 0..REFERENCE_BATCHES {
                fit.add(trunk, &images)?;
            }
            fit.finish()?;
        }
        let trained = model.params.trainable();
        let mut phases = Vec::new();
        for phase in model.gan.phases() {
            let optimizer = Optimizer::new(phase.optimizer, &phase.of(&trained), |name| phase.lr_scale(name))?;
            phases.push((phase.clone(), optimizer));
        }
        let settings = config.stages.settings("gan");
        let drawn = format!("{}.", model.gan.sampled());
        let averaged = trained.into_iter().filter(|(name, _)| name.starts_with(&drawn)).collect();
        Ok(Self {
            average: Ema::new(Averaging::HalfLife(settings.ema_half_life), &averaged)?,
            clip: settings.clip_grad_norm,
            model,
            phases,
            images,
            classes: classes(batch),
            steps: 0,
        })
    }
}

impl Job for Step {
    fn parameters(&self) -> usize {
        self.model.params.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let cx = Ctx::train(Seed::new(4), self.steps);
        self.steps += 1;
        let trained = self.model.params.trainable();
        let mut first = None;
        let (trunk, images, classes) = (&*self.model.trunk, &self.images, &self.classes);
        let batch = Batch { trunk, images, classes, progress: 0.5, task_loss: None };
        let mut step = self.model.gan.begin_step(&batch, &cx)?;
        for (index, (phase, optimizer)) in self.phases.iter_mut().enumerate() {
            let loss = step.loss(index)?.total;
            first.get_or_insert(f64::from(loss.to_scalar::<f32>()?));
            let grads = collect(&backward(&loss)?, &phase.of(&trained));
            let length = global_norm(&grads)?;
            let scale = if length > self.clip { self.clip / length } else { 1.0 };
            optimizer.step(&grads, phase.lr, scale)?;
        }
        drop(step);
        self.average.update()?;
        Ok(first)
    }
}

struct Drawing {
    gan: Gan,
    labels: Vec<i32>,
    stream: Stream,
    parameters: usize,
}

impl Job for Drawing {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        self.gan.sample(&self.labels, &Sampling::default(), &mut self.stream)?;
        Ok(None)
    }
}
