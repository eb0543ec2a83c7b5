//! How long a training step takes: forward, losses, backward, optimizer. `cargo xtask bench` runs it.
//!
//! `cargo run --release -p mtl-heads --example step_time -- STEPS` times `STEPS` steps of each case, after three that
//! are not counted, on batches of 64 random colour images of 64x64.

use std::time::Instant;

use mtl_heads::reconstruction::Reconstruction;
use mtl_heads::segmentation::Network;
use mtl_heads::{Config, Head, Place};
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Ctx, DType, Device, Params, Result, Tensor};

const BATCH: usize = 64;
const SIDE: usize = 64;
const CLASSES: usize = 10;
const WARM_UP: u32 = 3;

/// A model of one trunk and some heads.
struct Case {
    name: &'static str,
    params: Params,
    trunk: Box<dyn mtl_trunk::Trunk>,
    heads: Vec<(Box<dyn Head>, Target)>,
    reconstruction: Option<Reconstruction>,
    rule: optim::Config,
}

impl Case {
    fn new(
        name: &'static str,
        trunk: &str,
        rule: optim::Config,
    ) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        let config = (mtl_registry::find("trunk", mtl_trunk::TRUNKS, trunk)?.item)();
        let built = config.build(&params.scope("trunk"), 3)?;
        let place = Place { taps: built.taps().to_vec(), height: SIDE, width: SIDE, class_counts: None };
        let classes: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
        let mut stream = Seed::new(2).stream("labels", &[]);
        let class = Target::Class((0..BATCH).map(|_| stream.below(CLASSES) as i32).collect());
        let mask = Target::Mask((0..BATCH * SIDE * SIDE).map(|_| stream.below(3) as u8).collect());
        let tasks = [
            (Task::new("class", TaskKind::Classification { classes: classes.clone() }), class),
            (Task::new("mask", TaskKind::Segmentation { classes: classes[..3].to_vec() }), mask),
        ];
        let mut heads = Vec::new();
        for (task, target) in tasks {
            let mut config = Config::for_task(&task.kind);
            if let (Config::Segmentation(config), "tutorial") = (&mut config, trunk) {
                config.network = Network::Tutorial;
            }
            let scope = params.scope(&format!("heads.{}", task.name));
            heads.push((config.build(&scope, &task, &place)?, target));
        }
        let reconstruction = match trunk {
            "tutorial" => Some(Reconstruction::new(&params.scope("reconstruction"), &place, 3)?),
            _ => None,
        };
        Ok(Self { name, params, trunk: built, heads, reconstruction, rule })
    }

    /// Seconds of each step.
    fn time(&self, steps: u32) -> std::result::Result<Vec<f64>, Box<dyn std::error::Error>> {
        let trained = self.params.trained();
        let mut optimizer = Optimizer::new(self.rule, &trained, |_| 1.0)?;
        let pixels = Seed::new(3).stream("pixels", &[]).normals(BATCH * 3 * SIDE * SIDE);
        let images = Tensor::from_vec(pixels, (BATCH, 3, SIDE, SIDE), &Device::Cpu)?.clamp(-1.0, 1.0)?;
        let mut seconds = Vec::new();
        for step in 0..steps + WARM_UP {
            let began = Instant::now();
            let cx = Ctx::train(Seed::new(4), u64::from(step));
            let features = self.trunk.forward(&images, &cx)?;
            let mut losses = Vec::new();
            for (head, target) in &self.heads {
                losses.extend(head.loss(&head.forward(&features, &cx)?, target)?);
            }
            if let Some(reconstruction) = &self.reconstruction {
                losses.push(reconstruction.loss(&reconstruction.forward(&features)?, &images)?);
            }
            let total = losses.into_iter().map(Ok).reduce(|a: Result<Tensor>, b| a? + b?).ok_or("no losses")??;
            optimizer.step(&optim::collect(&total.backward()?, &trained), 1e-3, 1.0)?;
            if step >= WARM_UP {
                seconds.push(began.elapsed().as_secs_f64());
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds)
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let steps = std::env::args().nth(1).map_or(Ok(15), |text| text.parse::<u32>())?.max(1);
    let threads = std::thread::available_parallelism()?;
    println!("{steps} steps of {BATCH} images of {SIDE}x{SIDE}, {threads} threads; milliseconds a step");
    println!("{:34} {:>10} {:>8} {:>8} {:>8}", "", "parameters", "median", "10 %", "90 %");
    for case in [
        Case::new("tutorial: class, mask, image; Adam", "tutorial", optim::Config::Adam { beta1: 0.9, beta2: 0.999 })?,
        Case::new("resnet s: class, mask; AdamW", "resnet", optim::Config::default())?,
    ] {
        let seconds = case.time(steps)?;
        let at = |share: f64| 1e3 * seconds[((seconds.len() - 1) as f64 * share).round() as usize];
        println!("{:34} {:>10} {:>8.1} {:>8.1} {:>8.1}", case.name, case.params.count(), at(0.5), at(0.1), at(0.9));
    }
    Ok(())
}
