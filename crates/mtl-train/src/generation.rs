//! The generator stages: VAE and GAN learn on the learnt trunk, which stays as it is.

use mtl_data::sources::spread;
use mtl_gen::Batch;
use mtl_gen::vae::Encoding;
use mtl_tensor::optim::{Ema, Optimizer, Schedule, collect};
use mtl_tensor::{Ctx, Tensor, backward_once, to_f64};

use crate::config::Stage;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::live::critic_tasks;
use crate::pictures::{tiles, write_grid};
use crate::session::Session;
use crate::step::diverged;

/// Images the prior of the VAE is fitted to, at the end and for pictures on the way.
const PRIOR_IMAGES: usize = 2048;
const INTERIM_PRIOR_IMAGES: usize = 256;
/// Pictures a class in a grid of samples.
const SAMPLES_A_CLASS: usize = 8;

/// Trains one generator.
pub(crate) fn run(s: &mut Session<'_, '_>, stage: Stage) -> Result<()> {
    let config = if stage == Stage::Vae { s.plan.config.vae.clone() } else { s.plan.config.gan.clone() };
    let train = s.plan.loader(&s.plan.split.train, config.batch, true, stage.name())?;
    let joint_batches = (s.plan.split.train.len() / s.plan.config.joint.batch).max(1);
    let (steps, seconds) = s.budget(stage, joint_batches);
    let Some(generator) = s.model.generator(stage) else {
        return Err(Error::Config(format!("stages names \"{}\", but the model has no such generator", stage.name())));
    };
    let phases = generator.phases().to_vec();
    let sampled = generator.sampled().to_owned();
    let mut feed = train.stream(s.state_epoch(stage), s.state_batch(stage))?;
    let trained = s.model.params.trained();
    let mut optimizers = Vec::new();
    for phase in &phases {
        optimizers.push(Optimizer::new(phase.optimizer, &phase.of(&trained), |name| phase.rate(name))?);
    }
    s.begin(stage, steps);
    if s.restored.is_none() {
        let rows: Vec<usize> = spread(&*s.plan.dataset, &s.plan.split.train).into_iter().take(64).collect();
        let batch = mtl_data::loader::batch_of(&*s.plan.dataset, &rows, s.plan.schema.size())?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
        if let Some(generator) = s.model.generator(stage) {
            generator.prepare("trunk", &*s.model.trunk, &images)?;
        }
        let model = &s.plan.config.model;
        if let (Stage::Gan, Some(gan), Some(_)) = (stage, &s.model.gan, &s.model.vae)
            && model.warm_start
            && model.gan.decoder == model.vae.decoder
        {
            gan.start_from_vae("vae")?;
        }
    }
    // Parameters only: the prior is fitted, not trained, and an average of fits is none.
    let mut ema = Ema::new(config.ema, &s.model.trained(&[&sampled]))?;
    for (phase, optimizer) in phases.iter().zip(&mut optimizers) {
        if let Some(moments) = s.moments(phase.name) {
            optimizer.restore(&moments)?;
        }
    }
    if let Some(restored) = s.restored.take() {
        ema.restore(&restored.averages, restored.state.ema_updates)?;
    }
    let waited_before = s.state.waited_s;
    while s.state.step < s.state.steps {
        let (epoch, index, batch) =
            feed.next().ok_or_else(|| Error::DataMismatch("the training images ran out".into()))??;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
        let targets = s.plan.targets(&batch);
        let classes = s.classes(&targets, batch.rows.len());
        let now = s.state.step;
        let progress = now as f64 / s.state.steps as f64;
        let cx = Ctx::train(s.plan.seed.child(stage.name(), 0), now);
        let (mut losses, mut updates) = (Vec::new(), Vec::new());
        for (phase, optimizer) in phases.iter().zip(&mut optimizers) {
            let generator = s.model.generator(stage).ok_or_else(|| Error::Config("the generator is gone".into()))?;
            let data = Batch { trunk: &*s.model.trunk, images: &images, classes: &classes, progress };
            let loss = generator.phase_loss(phase.name, &data, &cx)?;
            let (mut total, mut tasks) = (loss.total, Vec::new());
            if let (Some(gan), "critic") = (&s.model.gan, phase.name)
                && let Some(more) = critic_tasks(&s.model, gan, &images, &targets, now)?
            {
                (total, tasks) = ((total + more.total)?, more.losses);
            }
            let value = to_f64(&total)?.first().copied().unwrap_or(f64::NAN);
            if !value.is_finite() {
                return Err(diverged(format!("the loss of the {}", phase.name), stage.name(), now));
            }
            let grads = collect(&backward_once(total)?, &phase.of(&trained));
            let schedule = Schedule { peak: phase.lr * config.rate, warmup: config.warmup, floor: config.floor };
            updates.push(s.apply((phase.name, optimizer), &grads, schedule.at(progress), config.clip)?);
            losses.push((phase.name.to_owned(), value));
            losses.extend(loss.terms.iter().map(|(name, value)| ((*name).to_owned(), *value)));
            losses.extend(tasks);
        }
        ema.update()?;

        s.state.step += 1;
        s.state.epoch = epoch;
        s.state.batch = index as u64 + 1;
        s.state.waited_s = waited_before + train.waited().as_secs_f64();
        s.pace(seconds);
        let (done, steps) = (s.state.step, s.state.steps);
        let left_s = s.left_s();
        s.tell(&Event::Step { stage, step: done, steps, losses, weights: Vec::new(), updates, left_s });
        let due = |every: u64| done % every.max(1) == 0;
        if due(steps.div_ceil(s.plan.config.output.pictures.max(1))) && done < steps {
            let path = s.dir.join(format!("samples/{}-{done:06}.png", stage.name()));
            let drawn = ema.with_averages(|| {
                if stage == Stage::Vae {
                    fit_prior(s, INTERIM_PRIOR_IMAGES)?;
                }
                picture(s, stage, &path)
            })?;
            s.told_picture(path, drawn)?;
        }
        let stopping = s.stopping();
        if stopping || due(s.checkpoint_every()) || done == steps {
            let named: Vec<(&str, &Optimizer)> =
                phases.iter().zip(&optimizers).map(|(phase, o)| (phase.name, o)).collect();
            s.save(Some(&ema), &named, false)?;
        }
        if stopping {
            return Err(s.interrupted());
        }
    }
    drop(feed);
    s.model.overwrite(&ema.values()?)?;
    if stage == Stage::Vae {
        fit_all(s)?;
    }
    s.finish();
    s.state.stage_finished = true;
    s.save(None, &[], true)?;
    let path = s.dir.join(format!("samples/{}.png", stage.name()));
    let drawn = picture(s, stage, &path);
    s.told_picture(path, drawn)
}

/// Fits the VAE's prior to as many training images as are worth it.
pub(crate) fn fit_all(s: &Session<'_, '_>) -> Result<()> {
    fit_prior(s, PRIOR_IMAGES)
}

impl Session<'_, '_> {
    fn state_epoch(&self, stage: Stage) -> u64 {
        if self.restored.is_some() && self.state.stage == stage { self.state.epoch } else { 0 }
    }

    fn state_batch(&self, stage: Stage) -> usize {
        if self.restored.is_some() && self.state.stage == stage { self.state.batch as usize } else { 0 }
    }
}

/// Draws the same latents at every call: a row a class, or a square without classes.
fn picture(s: &Session<'_, '_>, stage: Stage, path: &std::path::Path) -> Result<()> {
    let Some(generator) = s.model.generator(stage) else {
        return Ok(());
    };
    let classes = s.plan.schema.condition_classes().len().min(16);
    let labels: Vec<i32> = if classes == 0 {
        vec![-1; SAMPLES_A_CLASS * SAMPLES_A_CLASS]
    } else {
        (0..classes).flat_map(|class| [class as i32; SAMPLES_A_CLASS]).collect()
    };
    let images = generator.sample(&labels, &mut s.plan.seed.stream("samples", &[]))?;
    write_grid(path, &tiles(&images)?, SAMPLES_A_CLASS)
}

/// Fits the prior the VAE samples from to the encodings of training images.
fn fit_prior(s: &Session<'_, '_>, images: usize) -> Result<()> {
    let Some(vae) = &s.model.vae else {
        return Ok(());
    };
    let rows: Vec<usize> = spread(&*s.plan.dataset, &s.plan.split.train).into_iter().take(images).collect();
    let (mut encodings, mut labels) = (Vec::new(), Vec::new());
    for rows in rows.chunks(64) {
        let batch = mtl_data::loader::batch_of(&*s.plan.dataset, rows, s.plan.schema.size())?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
        // Numbers only: kept with its graph, each encoding would hold on to every activation of the trunk.
        let found = vae.encode(&s.model.trunk.forward(&images, &Ctx::eval())?.detach())?;
        encodings.push(Encoding { mu: found.mu.detach(), logvar: found.logvar.detach() });
        labels.extend(s.classes(&s.plan.targets(&batch), rows.len()));
    }
    Ok(vae.fit_prior(&encodings, &labels)?)
}
