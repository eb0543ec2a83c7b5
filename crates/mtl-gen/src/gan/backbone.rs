//! Trunks of the discriminator with their heads: one of its own, which is trained, and those that are not.

use std::sync::{Mutex, PoisonError};

use mtl_rng::Seed;
use mtl_tensor::{Ctx, Params, Scope, Tensor, ops, with_constant_weights};
use mtl_trunk::{Features, TapSpec, Trunk};

use super::matching::{Reference, descriptors};
use super::{Config, Mode};
use crate::critic::{Heads, Pass, Projection};
use crate::{Error, GeneratorInput, ReferenceFit};

/// Seed of the untrained trunks, the same in every run: they are part of the loss. The networks of the evaluation have others.
const UNTRAINED_SEED: u64 = 0x6d61_7463_6831;

/// Floor of a variance over the batch, below which its root has steep gradients.
const VARIANCE_FLOOR: f64 = 1e-4;

/// Rows of a batch that were generated or read together.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    count: usize,
    deviation: Deviation,
}

/// The standard deviation over the batch that rows have.
#[derive(Clone, Debug)]
enum Deviation {
    /// Their own.
    Own,
    /// That of the rows with this index.
    Like(usize),
    /// A constant.
    Fixed(Tensor),
}

impl Rows {
    pub fn of(count: usize) -> Self {
        Self { count, deviation: Deviation::Own }
    }

    /// Other versions of some of the rows with index `rows`.
    pub fn like(count: usize, rows: usize) -> Self {
        Self { count, deviation: Deviation::Like(rows) }
    }
}

/// A trunk of the discriminator's own.
#[derive(Debug)]
pub(crate) struct Own {
    trunk: Box<dyn Trunk>,
    /// One per tap, without those at the finest taps.
    heads: Heads,
    skipped: usize,
    minibatch_std: bool,
}

impl Own {
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        let trunk = input.trunk.build(&scope.sub("trunk"), input.channels)?;
        let skipped = trunk.taps().len().saturating_sub(config.own_taps);
        let mut taps: Vec<TapSpec> = trunk.taps()[skipped..].to_vec();
        if let (true, Some(deepest)) = (config.minibatch_std, taps.last_mut()) {
            deepest.channels += 1;
        }
        let heads = Heads::new(&scope.sub("heads"), &taps, config.head_width, input.classes, false)?;
        Ok(Self { trunk, heads, skipped, minibatch_std: config.minibatch_std })
    }

    /// See [`calibrate`].
    pub fn calibrate(&self, images: &Tensor) -> Result<(), Error> {
        calibrate(&*self.trunk, images)
    }

    /// Features of images at all taps, without the standard deviation over the batch.
    pub fn features(&self, images: &Tensor) -> Result<Features, Error> {
        Ok(self.trunk.forward(images, &Ctx::eval())?)
    }

    /// Logits of each tap, `[B, H W]`.
    pub fn forward(
        &self,
        images: &Tensor,
        labels: &[i32],
        rows: &[Rows],
        class_weight: f64,
        pass: Pass,
    ) -> Result<Vec<Tensor>, Error> {
        let mut features = match pass {
            Pass::Critic => self.features(images)?,
            Pass::Generator => with_constant_weights(|| self.features(images))?,
        };
        features.taps.drain(..self.skipped);
        if let (true, Some(deepest)) = (self.minibatch_std, features.taps.last_mut()) {
            *deepest = with_deviation(deepest, rows)?;
        }
        self.heads.forward(&features, labels, class_weight, pass)
    }

    /// Rows of the first `count` of `of_each` real and of as many generated images, with the deviations over all of them as
    /// constants.
    pub fn fixed_rows(&self, images: &Tensor, of_each: usize, count: usize) -> Result<[Rows; 2], Error> {
        if !self.minibatch_std {
            return Ok([Rows::of(count), Rows::of(count)]);
        }
        let features = with_constant_weights(|| self.features(images))?;
        let deepest = features.deepest()?.detach();
        let fixed = |first: usize| -> Result<Rows, Error> {
            Ok(Rows { count, deviation: Deviation::Fixed(deviation(&deepest.narrow(0, first, of_each)?)?) })
        };
        Ok([fixed(0)?, fixed(of_each)?])
    }

    /// Score of each image by each tap, `[B]`; with `constant` the parameters are constants.
    pub fn scores(
        &self,
        images: &Tensor,
        labels: &[i32],
        rows: &[Rows],
        class_weight: f64,
        constant: bool,
    ) -> Result<Vec<Tensor>, Error> {
        // Both images of a difference quotient have the labels and the rows of one.
        let times = images.dim(0)? / labels.len().max(1);
        let rows: Vec<Rows> = (0..times).flat_map(|_| rows.iter().cloned()).collect();
        let pass = if constant { Pass::Generator } else { Pass::Critic };
        let logits = self.forward(images, &labels.repeat(times), &rows, class_weight, pass)?;
        logits.iter().map(|logits| Ok(logits.mean(1)?)).collect()
    }
}

/// Sets the statistics of batch normalisation to those of these images. They stay: batch normalisation is then a scale and a
/// shift per channel that start well (Salimans and Kingma 2016, arXiv 1602.07868), and no image depends on its batch.
fn calibrate(trunk: &dyn Trunk, images: &Tensor) -> Result<(), Error> {
    with_constant_weights(|| trunk.forward(images, &Ctx::eval().with_mode(mtl_tensor::Mode::Calibrate)))?;
    Ok(())
}

/// A map with one more channel: the standard deviation over the batch, mean over the map, of each block of rows.
fn with_deviation(map: &Tensor, rows: &[Rows]) -> Result<Tensor, Error> {
    let (_, _, height, width) = map.dims4()?;
    let mut deviations: Vec<Tensor> = Vec::new();
    let mut blocks = Vec::new();
    let mut first = 0;
    for block in rows {
        let own = match &block.deviation {
            Deviation::Own => deviation(&map.narrow(0, first, block.count)?)?,
            Deviation::Like(rows) => deviations[*rows].clone(),
            Deviation::Fixed(value) => value.clone(),
        };
        blocks.push(own.broadcast_as((block.count, 1, height, width))?);
        deviations.push(own);
        first += block.count;
    }
    Ok(ops::cat_channels(&[map, &Tensor::cat(&blocks, 0)?.contiguous()?])?)
}

/// Standard deviation over the batch, mean over the map: `[1, 1, 1, 1]`.
fn deviation(map: &Tensor) -> Result<Tensor, Error> {
    let variance = map.broadcast_sub(&map.mean_keepdim(0)?)?.sqr()?.mean_keepdim(0)?;
    Ok((variance + VARIANCE_FLOOR)?.sqrt()?.mean_all()?.reshape((1, 1, 1, 1))?)
}

/// Projection and heads on the features of a trunk that is not trained.
#[derive(Debug)]
pub(super) struct FrozenHeads {
    pub projection: Projection,
    heads: Heads,
}

impl FrozenHeads {
    /// Logits of each tap, `[B, H W]`.
    pub fn forward(
        &self,
        features: &Features,
        labels: &[i32],
        class_weight: f64,
        pass: Pass,
    ) -> Result<Vec<Tensor>, Error> {
        self.heads.forward(&self.projection.forward(features)?, labels, class_weight, pass)
    }
}

/// A trunk that is not trained.
#[derive(Debug)]
pub(super) struct Backbone {
    /// Its trunk; `None`: the shared one.
    untrained: Option<Box<dyn Trunk>>,
    /// `None`: its features are matched only.
    pub heads: Option<FrozenHeads>,
    /// Features of the training images. Not part of a checkpoint: computed again when a run is resumed.
    reference: Mutex<Option<Reference>>,
}

impl Backbone {
    /// The shared trunk and the untrained ones, as the mode needs.
    pub fn all(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Vec<Self>, Error> {
        if !config.mode.uses_shared_trunk() {
            return Ok(Vec::new());
        }
        let spectral = config.spectral.unwrap_or(config.mode == Mode::Hybrid);
        let heads = |scope: &Scope, taps: &[TapSpec]| -> Result<FrozenHeads, Error> {
            Ok(FrozenHeads {
                projection: Projection::new(&scope.sub("projection"), taps)?,
                heads: Heads::new(&scope.sub("heads"), taps, config.head_width, input.classes, spectral)?,
            })
        };
        let mut all =
            vec![Self { untrained: None, heads: Some(heads(scope, input.taps)?), reference: Mutex::default() }];
        // In mode `hybrid` they have no heads: the discriminator's own trunk is a second representation.
        let has_heads = config.mode != Mode::Hybrid;
        let wanted = if has_heads || config.feature_matching > 0.0 { config.random_trunks } else { 0 };
        for at in 1..=wanted {
            // In a store of their own: neither trained nor saved.
            let store = Params::new(
                Seed::new(UNTRAINED_SEED).child("trunk", at as u64),
                scope.params().dtype(),
                scope.params().device(),
            );
            let trunk = input.trunk.build(&store.scope("trunk"), input.channels)?;
            let heads = match has_heads {
                true => Some(heads(&scope.sub(format!("random{at}")), trunk.taps())?),
                false => None,
            };
            all.push(Self { untrained: Some(trunk), heads, reference: Mutex::default() });
        }
        Ok(all)
    }

    /// The trunk: the shared one, or one of its own.
    pub fn trunk<'a>(&'a self, shared: &'a dyn Trunk) -> &'a dyn Trunk {
        self.untrained.as_deref().unwrap_or(shared)
    }

    /// Keeps the descriptors of the training images.
    pub fn refer_to(&self, batches: &[Vec<Tensor>]) -> Result<(), Error> {
        let reference = Reference::new(batches)?;
        *self.reference.lock().unwrap_or_else(PoisonError::into_inner) = Some(reference);
        Ok(())
    }

    /// MMD^2 of the descriptors of generated images: a scalar with its graph.
    pub fn distance(&self, fake: &[Tensor]) -> Result<Tensor, Error> {
        let reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        reference.as_ref().ok_or(Error::NoReference)?.distance(fake)
    }
}

/// Fit of every backbone to training images, batch by batch: the statistics of untrained trunks are those of the first batch, and
/// where features are matched, the descriptors of all batches are kept.
pub(super) struct Fit<'a> {
    backbones: &'a [Backbone],
    matches: bool,
    calibrated: bool,
    batches: Vec<Vec<Vec<Tensor>>>,
}

impl<'a> Fit<'a> {
    /// `None` where there is nothing to fit.
    pub fn new(backbones: &'a [Backbone], matches: bool) -> Option<Self> {
        let needed = backbones.iter().any(|backbone| matches || backbone.untrained.is_some());
        needed.then(|| Self {
            backbones,
            matches,
            calibrated: false,
            batches: backbones.iter().map(|_| Vec::new()).collect(),
        })
    }
}

impl ReferenceFit for Fit<'_> {
    fn add(&mut self, trunk: &dyn Trunk, images: &Tensor) -> Result<(), Error> {
        for (backbone, batches) in self.backbones.iter().zip(&mut self.batches) {
            if let (false, Some(untrained)) = (self.calibrated, &backbone.untrained) {
                calibrate(&**untrained, images)?;
            }
            if !self.matches {
                continue;
            }
            let features = backbone.trunk(trunk).forward(images, &Ctx::eval())?.detach();
            batches.push(descriptors(&features)?.iter().map(Tensor::detach).collect());
        }
        self.calibrated = true;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        if !self.matches {
            return Ok(());
        }
        self.backbones.iter().zip(&self.batches).try_for_each(|(backbone, batches)| backbone.refer_to(batches))
    }
}

#[cfg(test)]
mod tests {
    use mtl_tensor::{DType, Device, gradcheck, to_f64};

    use super::*;

    #[test]
    fn deviation_over_the_batch_by_hand() {
        // Two images of one pixel, 1 and 3: deviation 1. Then one like them, then one alone: deviation 0.
        let map = Tensor::from_vec(vec![1f64, 3.0, 7.0, 9.0], (4, 1, 1, 1), &Device::Cpu).unwrap();
        let rows = [Rows::of(2), Rows::like(1, 0), Rows::of(1)];
        let found = to_f64(&with_deviation(&map, &rows).unwrap()).unwrap();
        let (one, none) = ((1.0 + VARIANCE_FLOOR).sqrt(), VARIANCE_FLOOR.sqrt());
        let expected = [1.0, one, 3.0, one, 7.0, one, 9.0, none];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let values = Seed::new(4).stream("map", &[]).normals(5 * 2 * 4);
        let map = Tensor::from_vec(values, (5, 2, 2, 2), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        let worst = gradcheck::worst_error(&[map], |t| {
            with_deviation(&t[0], &[Rows::of(3), Rows::like(2, 0)])
                .map_err(|error| mtl_tensor::Error::Msg(error.to_string()))
        });
        assert!(worst.unwrap() < 1e-6);
    }

    #[test]
    fn approximated_penalty_is_the_exact_one_on_a_discriminator_with_the_deviation_over_the_batch() {
        const IMAGES: usize = 4;
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let resnet = mtl_trunk::resnet::Config { widths: Some([8, 8, 16]), blocks: Some(1), ..Default::default() };
        let trunk = mtl_trunk::Config::Resnet(resnet);
        let input = GeneratorInput { trunk: &trunk, taps: &[], size: (32, 32), channels: 3, classes: 2 };
        let own = Own::new(&Config::default(), &params.scope("own"), &input).unwrap();
        let mut stream = Seed::new(4).stream("images", &[]);
        let mut normals = |count: usize| {
            let values = stream.normals(count * 3 * 32 * 32);
            Tensor::from_vec(values, (count, 3, 32, 32), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
        };
        let (images, labels, sigma) = ((normals(2 * IMAGES) * 0.4).unwrap(), [0, 1, -1, 1, 0, 0, 1, -1], 0.001);
        own.calibrate(&images).unwrap();
        let rows = own.fixed_rows(&images, IMAGES, IMAGES).unwrap();
        let scores = |x: &Tensor, constant: bool| own.scores(x, &labels, &rows, 1.0, constant);
        let known = to_f64(&super::super::penalty::exact(&images, 1e-4, &scores).unwrap()).unwrap()[0];
        let (before, draws) = (scores(&images, true).unwrap(), 300);
        let mut found = 0.0;
        for _ in 0..draws {
            let after = scores(&(&images + (normals(2 * IMAGES) * sigma).unwrap()).unwrap(), true).unwrap();
            for (tap, after) in before.iter().zip(&after) {
                let square = super::super::penalty::approximated(tap, after, sigma).unwrap();
                found += to_f64(&square).unwrap()[0] / (draws * before.len()) as f64;
            }
        }
        assert!((found / known - 1.0).abs() < 0.05, "{found} instead of {known}");
    }
}
