//! Generators: one training step of the GAN (discriminator, generator, weight average) and of the flow, and sampling.
//!
//! The step consists of the same parts as in `mtl-train`, with the trunk of its preset `small`; the training loop itself needs a
//! data set and a run folder.

use std::sync::Arc;

use mtl_gen::gan::{self, Mode};
use mtl_gen::{Batch, Config, Generator, GeneratorInput, Phase, Prepare, Sampling, flow};
use mtl_rng::{Seed, Stream};
use mtl_tensor::optim::{Averaging, Ema, Optimizer, collect, global_norm};
use mtl_tensor::{Ctx, DType, Params, Tensor, backward};
use mtl_trunk::Trunk;
use serde_json::json;

use crate::inputs;
use crate::workload::{Job, Workload};

/// Classes of the built-in scenes.
const CLASSES: usize = 6;
/// Side of the images of the preset.
const SIDE: usize = 32;
/// Completed share of the stage: the flow's network is trained, not its tokenizer.
const PROGRESS: f64 = 0.5;
/// Batches of training images whose features are matched: about 2,000 images, as many as the preset has.
const REFERENCE_BATCHES: usize = 62;

/// A workload by its name, what it measures, images per step, and what its peer has to know.
struct Case {
    name: &'static str,
    about: &'static str,
    batch: usize,
    generator: Config,
    peer: serde_json::Value,
}

impl Case {
    fn all() -> Vec<Self> {
        let gan = |mode| Config::Gan(gan::Config { mode, ..gan::Config::default() });
        let gan_peer = |mode: Mode| {
            json!({
                "op": "gan", "side": SIDE, "classes": CLASSES, "mode": mode,
                "random_trunks": gan::Config::default().random_trunks, "reference_batches": REFERENCE_BATCHES,
            })
        };
        // As many steps of the solver as in earlier results.
        let settings = flow::Config { steps: 20, ..flow::Config::default() };
        let flow_peer = |op: &str| {
            json!({
                "op": op, "side": SIDE, "classes": CLASSES, "channels": settings.channels, "width": settings.width,
                "blocks": settings.blocks, "embedding": settings.embedding, "steps": settings.steps,
            })
        };
        let flow = Config::Flow(settings.clone());
        vec![
            Self {
                name: "gan",
                about: "training step of the GAN with heads on the frozen trunk and on two untrained ones; 3x32x32",
                batch: 32,
                generator: gan(Mode::Frozen),
                peer: gan_peer(Mode::Frozen),
            },
            Self {
                name: "gan-hybrid",
                about: "training step of the GAN with a trunk of the discriminator's own and heads on the frozen one; 3x32x32",
                batch: 32,
                generator: gan(Mode::Hybrid),
                peer: gan_peer(Mode::Hybrid),
            },
            Self {
                name: "flow",
                about: "training step of the flow's network on maps of the frozen trunk; 3x32x32",
                batch: 64,
                generator: flow.clone(),
                peer: flow_peer("flow"),
            },
            Self {
                name: "generate",
                about: "images sampled by the GAN's generator, latents included; 3x32x32",
                batch: 64,
                generator: gan(Mode::Frozen),
                peer: json!({ "op": "generate", "side": SIDE, "classes": CLASSES }),
            },
            Self {
                name: "generate-flow",
                about: "images sampled by the flow in 20 midpoint steps with guidance, latents included; 3x32x32",
                batch: 64,
                generator: flow,
                peer: flow_peer("generate-flow"),
            },
        ]
    }
}

/// See the module.
pub fn workloads() -> Vec<Workload> {
    let workload = |case: Case| Workload {
        name: case.name.into(),
        about: case.about.into(),
        batches: vec![case.batch],
        kernel: false,
        case: case.peer,
        peers: vec!["torch"],
        flop: Box::new(|_| None),
        build: Box::new(move |batch| {
            let model = Model::new(&case.generator)?;
            Ok(if case.name.starts_with("generate") {
                Box::new(Drawing::new(model, batch)?) as Box<dyn Job>
            } else {
                Box::new(Step::new(model, batch)?)
            })
        }),
    };
    Case::all().into_iter().map(workload).collect()
}

fn classes(batch: usize) -> Vec<i32> {
    (0..batch).map(|at| (at % CLASSES) as i32).collect()
}

struct Model {
    params: Params,
    trunk: Box<dyn Trunk>,
    generator: Arc<dyn Generator>,
}

impl Model {
    fn new(generator: &Config) -> anyhow::Result<Self> {
        let config = mtl_train::config::load::load("small", None, &[])?;
        let params = Params::new(Seed::new(1), DType::F32, inputs::device());
        let trunk = config.model.trunk.build(&params.scope("trunk"), 3)?;
        let (trunk_config, taps) = (&config.model.trunk, trunk.taps());
        let input = GeneratorInput { trunk: trunk_config, taps, size: (SIDE, SIDE), channels: 3, classes: CLASSES };
        let generator = generator.build(&params.scope("generator"), &input)?;
        let model = Self { params, trunk, generator };
        model.fit()?;
        Ok(model)
    }

    /// What a stage fits to training images before its first step, or between its parts.
    fn fit(&self) -> anyhow::Result<()> {
        let (trunk, images) = (&*self.trunk, inputs::images(32, SIDE)?);
        self.generator.prepare(&Prepare { trunk_name: "trunk", trunk, images: &images, generator: &|_| None })?;
        if let Some(mut fit) = self.generator.reference_fit() {
            for _ in 0..REFERENCE_BATCHES {
                fit.add(trunk, &images)?;
            }
            fit.finish()?;
        }
        if let Some(mut fit) = self.generator.due_fit(PROGRESS)? {
            fit.add(&trunk.forward(&images, &Ctx::eval())?.detach(), &classes(32))?;
            fit.finish()?;
        }
        Ok(())
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
    fn new(model: Model, batch: usize) -> anyhow::Result<Self> {
        let trained = model.params.trainable();
        let mut phases = Vec::new();
        for phase in model.generator.phases() {
            let optimizer = Optimizer::new(phase.optimizer, &phase.of(&trained), |name| phase.lr_scale(name))?;
            phases.push((phase.clone(), optimizer));
        }
        let settings = mtl_train::config::StageSettings::default();
        let drawn = format!("{}.", model.generator.sampled());
        let averaged = trained.into_iter().filter(|(name, _)| name.starts_with(&drawn)).collect();
        Ok(Self {
            average: Ema::new(Averaging::HalfLife(settings.ema_half_life), &averaged)?,
            clip: settings.clip_grad_norm,
            model,
            phases,
            images: inputs::images(batch, SIDE)?,
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
        let batch = Batch { trunk, images, classes, progress: PROGRESS, task_loss: None };
        let mut step = self.model.generator.begin_step(&batch, &cx)?;
        for (index, (phase, optimizer)) in self.phases.iter_mut().enumerate() {
            if self.model.generator.phase_progress(index, PROGRESS)?.is_none() {
                continue;
            }
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
    model: Model,
    labels: Vec<i32>,
    stream: Stream,
    parameters: usize,
}

impl Drawing {
    fn new(model: Model, batch: usize) -> anyhow::Result<Self> {
        let own = model.params.trainable();
        let drawn = format!("{}.", model.generator.sampled());
        let parameters = own.iter().filter(|(name, _)| name.starts_with(&drawn)).map(|(_, var)| var.elem_count());
        let parameters = parameters.sum();
        Ok(Self { labels: classes(batch), stream: Seed::new(3).stream("drawing", &[]), parameters, model })
    }
}

impl Job for Drawing {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        self.model.generator.sample(&self.labels, &Sampling::default(), &mut self.stream)?;
        Ok(None)
    }
}
