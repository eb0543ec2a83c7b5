//! Built-in scenes end to end: joint training of a trunk on classes, parts and reconstruction, then a VAE and a GAN on that
//! trunk, each with a sheet of samples (one row per class, ten images each).
//!
//! `cargo run -p mtl-gen --example train_generator -- FOLDER [key=value ...]`, keys as in [`Options`] (TOML, dotted keys for tables):
//! `gan_steps=200 'gan.mode="hybrid"'`. With `reuse=true` the trunk and the VAE of an earlier run in FOLDER are loaded.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use image::{Rgb, RgbImage};
use mtl_data::loader::{self, BatchStream, Loader};
use mtl_data::{Scenes, Size, augment, scenes};
use mtl_gen::gan::matching::REFERENCE_IMAGES;
use mtl_gen::{Batch, Config, Generator, GeneratorInput, Prepare, Sampling, gan, vae};
use mtl_rng::Seed;
use mtl_task::Target;
use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::optim::{self, Averaging, Ema, Optimizer, Schedule};
use mtl_tensor::{Ctx, DType, Device, Params, Tensor, Var, backward, ops, serial, to_f64};
use mtl_trunk::Trunk;
use serde::Deserialize;

/// Command-line options.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    size: usize,
    count: usize,
    difficulty: f64,
    seed: u64,
    batch: usize,
    gan_batch: usize,
    joint_steps: u64,
    vae_steps: u64,
    gan_steps: u64,
    vae_lr: Option<f64>,
    critic_lr: Option<f64>,
    generator_lr: Option<f64>,
    ema: f64,
    reuse: bool,
    /// Steps between sheets of samples; 0: one sheet at the end.
    sheet_every: u64,
    trunk: mtl_trunk::Config,
    vae: vae::Config,
    gan: gan::Config,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: 32,
            count: 2000,
            difficulty: 0.5,
            seed: 1,
            batch: 64,
            gan_batch: 32,
            joint_steps: 150,
            vae_steps: 100,
            gan_steps: 300,
            vae_lr: None,
            critic_lr: None,
            generator_lr: None,
            ema: 0.05,
            reuse: false,
            sheet_every: 0,
            trunk: mtl_trunk::Config::default(),
            vae: vae::Config::default(),
            gan: gan::Config::default(),
        }
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("the first argument must be the output folder")?);
    let options: Options = toml::from_str(&arguments.collect::<Vec<_>>().join("\n"))?;
    std::fs::create_dir_all(&folder)?;
    let data = Data::new(&options)?;
    let params = Params::new(Seed::new(options.seed), DType::F32, &Device::Cpu);
    let trunk = options.trunk.build(&params.scope("trunk"), 3)?;
    let size = (options.size, options.size);
    let input = GeneratorInput { trunk: &options.trunk, taps: trunk.taps(), size, channels: 3, classes: data.classes };
    let vae = Config::Vae(options.vae.clone()).build(&params.scope("vae"), &input)?;

    let trained = folder.join("trained.safetensors");
    if options.reuse && trained.exists() {
        params.load(&serial::from_bytes(&std::fs::read(&trained)?)?)?;
    } else {
        train_jointly(&options, &data, &params, &*trunk, &*vae)?;
        let ema = train(&*vae, &*trunk, &params, &data, &options, |_, _| Ok(()))?;
        for (name, value) in ema.values()? {
            params.trainable()[&name].set(&value)?;
        }
        fit_prior(&*vae, &*trunk, &data)?;
        let weights = params.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
        std::fs::write(&trained, serial::to_bytes(&weights, &BTreeMap::new())?)?;
    }
    sheet(&*vae, &data, &folder.join("vae.png"))?;
    if options.gan_steps == 0 {
        return Ok(());
    }

    let gan = Config::Gan(options.gan.clone()).build(&params.scope("gan"), &input)?;
    let find = |name: &str| (name == "vae").then_some(&*vae);
    let images = data.feed(64, "prepare")?.images()?.0;
    for note in gan.prepare(&Prepare { trunk_name: "trunk", trunk: &*trunk, images: &images, generator: &find })? {
        println!("{note}");
    }
    if let Some(mut fit) = gan.reference_fit() {
        let mut feed = data.feed(64, "reference")?;
        for _ in 0..options.count.min(REFERENCE_IMAGES) / 64 {
            fit.add(&*trunk, &feed.images()?.0)?;
        }
        fit.finish()?;
    }
    let ema = train(&*gan, &*trunk, &params, &data, &options, |step, ema| {
        if options.sheet_every > 0 && step % options.sheet_every == 0 {
            ema.with_averages(|| sheet(&*gan, &data, &folder.join(format!("gan-{step:05}.png"))))??;
        }
        Ok(())
    })?;
    ema.with_averages(|| sheet(&*gan, &data, &folder.join("gan.png")))?
}

struct Data {
    scenes: Arc<Scenes>,
    size: Size,
    classes: usize,
    seed: Seed,
}

struct Batches(BatchStream);

impl Data {
    fn new(options: &Options) -> Outcome<Self> {
        let (count, difficulty) = (options.count, options.difficulty);
        let scenes = Scenes::new(scenes::Config { count, difficulty, ..scenes::Config::default() })?;
        let classes = scenes.config().classes.len();
        let size = Size { height: options.size, width: options.size };
        Ok(Self { scenes: Arc::new(scenes), size, classes, seed: Seed::new(options.seed) })
    }

    fn feed(&self, batch: usize, name: &str) -> Outcome<Batches> {
        let config = loader::Config { batch, augment: augment::Config::none(), ..loader::Config::default() };
        let rows = (0..self.scenes.config().count).collect();
        Ok(Batches(Loader::new(self.scenes.clone(), rows, self.size, config, self.seed.child(name, 0))?.stream(0, 0)?))
    }
}

impl Batches {
    /// Images, classes and part masks of the next batch.
    fn images(&mut self) -> Outcome<(Tensor, Vec<i32>, Vec<i32>)> {
        let (_, _, batch) = self.0.next().ok_or("the feed ended")??;
        let images = Tensor::from_vec(batch.images, batch.shape.to_vec(), &Device::Cpu)?;
        match &batch.targets[..] {
            [Target::Class(classes), Target::Mask(parts), ..] => {
                Ok((images, classes.clone(), parts.iter().map(|&part| i32::from(part)).collect()))
            }
            _ => Err("scenes have classes and parts".into()),
        }
    }
}

/// Joint training on classes, parts and reconstruction.
fn train_jointly(
    options: &Options,
    data: &Data,
    params: &Params,
    trunk: &dyn Trunk,
    vae: &dyn Generator,
) -> Outcome<()> {
    let objective = vae.joint().ok_or("the VAE is an objective of joint training")?;
    let own = Params::new(data.seed, DType::F32, &Device::Cpu);
    let deepest = trunk.taps().last().map_or(0, |tap| tap.channels);
    let all = trunk.taps().iter().map(|tap| tap.channels).sum();
    let class_head = Linear::new(&own.scope("class"), deepest, data.classes)?;
    let part_head = Conv2d::new(&own.scope("parts"), (all, scenes::PARTS.len()), 1, 1, true)?;
    let trained: BTreeMap<String, Var> = params.trainable().into_iter().chain(own.trainable()).collect();
    let mut optimizer = Optimizer::new(optim::Config::default(), &trained, |_| 1.0)?;
    let (mut feed, clock) = (data.feed(options.batch, "joint")?, Instant::now());
    for step in 0..options.joint_steps {
        let (images, classes, parts) = feed.images()?;
        let cx = Ctx::train(data.seed, step);
        let features = trunk.forward(&images, &cx)?;
        let logits = class_head.forward(&ops::global_avg_pool(features.deepest()?)?)?;
        let class = ops::loss::cross_entropy(&logits, &classes, &Default::default())?;
        let (height, width) = (data.size.height / 2, data.size.width / 2);
        let maps = features.taps.iter().map(|tap| ops::upsample_bilinear(tap, height, width));
        let logits = part_head.forward(&Tensor::cat(&maps.collect::<Result<Vec<_>, _>>()?, 1)?)?;
        let logits = ops::upsample_bilinear(&logits, data.size.height, data.size.width)?;
        let part = ops::loss::cross_entropy(&logits, &parts, &Default::default())?;
        let reconstruction = objective.loss(&features, &images, &classes, &cx)?;
        let total = ((&class + &part)? + &reconstruction.total)?;
        let grads = optim::collect(&backward(&total)?, &trained);
        let lr = Schedule::default().at(step as f64 / options.joint_steps as f64);
        optimizer.step(&grads, lr, (5.0 / optim::global_norm(&grads)?).min(1.0))?;
        if step % 25 == 24 {
            let (class, part) = (to_f64(&class)?[0], to_f64(&part)?[0]);
            let rate = (step + 1) as f64 / clock.elapsed().as_secs_f64();
            let terms: Vec<String> =
                reconstruction.terms.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            println!("joint {step}: class {class:.3} parts {part:.3} {} ({rate:.2} steps/s)", terms.join(" "));
        }
    }
    Ok(())
}

/// The stage of one generator. Returns the weight averages of the parameters that sampling uses.
fn train(
    generator: &dyn Generator,
    trunk: &dyn Trunk,
    params: &Params,
    data: &Data,
    options: &Options,
    mut look: impl FnMut(u64, &Ema) -> Outcome<()>,
) -> Outcome<Ema> {
    let gan = generator.phases().len() > 1;
    let (steps, batch) = if gan { (options.gan_steps, options.gan_batch) } else { (options.vae_steps, options.batch) };
    let mut phases = Vec::new();
    for phase in generator.phases() {
        let own = phase.of(&params.trainable());
        let optimizer = Optimizer::new(phase.optimizer, &own, |name| phase.lr_scale(name))?;
        let lr = match phase.name {
            "critic" => options.critic_lr,
            "generator" => options.generator_lr,
            _ => options.vae_lr,
        };
        phases.push((phase, own, optimizer, Schedule { lr: lr.unwrap_or(phase.lr), ..Schedule::default() }));
    }
    let drawn_with: BTreeMap<String, Var> =
        params.trainable().into_iter().filter(|(name, _)| name.starts_with(generator.sampled())).collect();
    let mut ema = Ema::new(Averaging::HalfLife(options.ema), &drawn_with)?;
    let (mut feed, clock) = (data.feed(batch, generator.sampled())?, Instant::now());
    for step in 0..steps {
        let progress = step as f64 / steps as f64;
        let (images, classes, _) = feed.images()?;
        let batch = Batch { trunk, images: &images, classes: &classes, progress, task_loss: None };
        let cx = Ctx::train(data.seed, step);
        let mut words = String::new();
        let mut generator_step = generator.begin_step(&batch, &cx)?;
        for (index, (phase, own, optimizer, schedule)) in phases.iter_mut().enumerate() {
            let loss = generator_step.loss(index)?;
            let grads = optim::collect(&backward(&loss.total)?, own);
            let norm = optim::global_norm(&grads)?;
            optimizer.step(&grads, schedule.at(progress), (10.0 / norm).min(1.0))?;
            words += &format!(" {} (|g| {norm:.2})", phase.name);
            loss.terms.iter().for_each(|(name, value)| words += &format!(" {name} {value:.4}"));
        }
        ema.update()?;
        if step % 25 == 24 {
            println!("{step}:{words} ({:.2} steps/s)", (step + 1) as f64 / clock.elapsed().as_secs_f64());
        }
        look(step + 1, &ema)?;
    }
    Ok(ema)
}

fn fit_prior(vae: &dyn Generator, trunk: &dyn Trunk, data: &Data) -> Outcome<()> {
    let mut fit = vae.prior_fit().ok_or("the VAE has a prior")?;
    let mut feed = data.feed(64, "prior")?;
    for _ in 0..(data.scenes.config().count / 64).clamp(1, 16) {
        let (images, classes, _) = feed.images()?;
        fit.add(&trunk.forward(&images, &Ctx::eval())?.detach(), &classes)?;
    }
    Ok(fit.finish()?)
}

fn sheet(generator: &dyn Generator, data: &Data, path: &Path) -> Outcome<()> {
    const COLUMNS: usize = 10;
    let labels: Vec<i32> = (0..data.classes as i32).flat_map(|class| [class; COLUMNS]).collect();
    let images = generator.sample(&labels, &Sampling::default(), &mut Seed::new(1).stream("sheet", &[]))?;
    let (_, channels, height, width) = images.dims4()?;
    let values = to_f64(&images)?;
    let zoom = (96 / height).max(1);
    let (tall, wide) = (height * zoom + 2, width * zoom + 2);
    let mut picture = RgbImage::new((COLUMNS * wide) as u32, (data.classes * tall) as u32);
    for (at, image) in values.chunks_exact(channels * height * width).enumerate() {
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                let pixel = y / zoom * width + x / zoom;
                let colour =
                    [0, 1, 2].map(|channel| ((image[channel % channels * height * width + pixel] + 1.0) * 127.5) as u8);
                let (left, top) = (at % COLUMNS * wide + x, at / COLUMNS * tall + y);
                picture.put_pixel(left as u32, top as u32, Rgb(colour));
            }
        }
    }
    picture.save(path)?;
    println!("{}", path.display());
    Ok(())
}
