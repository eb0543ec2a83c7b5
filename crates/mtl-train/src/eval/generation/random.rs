//! The networks `random`: untrained convolutional networks of three seeds.
//!
//! They have seen no data, so no generator can have learned to please them; with the class and its likelihood unknown to them
//! they see shape, colour and texture alike. Naeem et al. 2020 use such features; Lee et al. 2022 (arXiv 2208.09218) compare them
//! with trained ones. Every score is the mean over the three networks, its spread their standard deviation. KID is taken
//! on features whitened over real images ([`Whitening`]): as they are, they follow brightness and contrast, and few images far away
//! decide its value.

use mtl_metrics::generation::{Features, GenerationScore, GenerationScores, Whitening, compare, kid};
use mtl_rng::Seed;
use mtl_tensor::layers::Conv2d;
use mtl_tensor::{DType, Device, Params, to_f64};

use super::images::Images;
use crate::error::Result;

/// Name in tables and files.
pub const NAME: &str = "random";
/// Networks that scores are averaged over.
const NETWORKS: u64 = 3;
/// Channels after each convolution, which halves height and width.
const CHANNELS: [usize; 3] = [16, 32, 64];
/// The last map is averaged over a grid of 2 x 2 parts.
const GRID: usize = 2;
/// Features per image and network.
const WIDTH: usize = CHANNELS[2] * GRID * GRID;

/// Three untrained networks, whitened by the statistics of real images.
#[derive(Debug)]
pub(crate) struct RandomNetworks {
    networks: Vec<Network>,
}

#[derive(Debug)]
struct Network {
    layers: Vec<Conv2d>,
    /// Mean and standard deviation of each feature over real images.
    scale: Vec<(f32, f32)>,
    /// After the scale.
    whitening: Option<Whitening>,
}

/// Features of the same images by each network.
#[derive(Clone, Debug)]
pub(crate) struct RandomFeatures {
    /// For distances between images.
    standardised: Vec<Features<'static>>,
    /// For KID.
    whitened: Vec<Features<'static>>,
}

impl RandomNetworks {
    /// Three 3x3 convolutions of stride 2 with He-normal weights and ReLU; features are the means of the last map over 2 x 2
    /// parts of the image, standardised and whitened over `real`. The weights depend on nothing but the number of channels.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(channels: usize, real: &Images, device: &Device) -> Result<Self> {
        let mut networks = Vec::new();
        for seed in 0..NETWORKS {
            let params = Params::new(Seed::new(seed).child("random network", 0), DType::F32, device);
            let mut layers = Vec::new();
            let mut from = channels;
            for (at, to) in CHANNELS.into_iter().enumerate() {
                let scope = params.scope(&format!("layer{at}"));
                layers.push(Conv2d::new(&scope, (from, to), 3, 2, false)?);
                from = to;
            }
            let means = grid_features(&layers, real, device)?;
            let scale = standards(&means, WIDTH);
            let standardised = standardised(means, &scale)?;
            let whitening = if real.len() > 1 { Some(Whitening::of(&standardised)?) } else { None };
            networks.push(Network { layers, scale, whitening });
        }
        Ok(Self { networks })
    }

    /// Features of every image.
    ///
    /// # Errors
    /// Images of another number of channels.
    pub fn features(&self, images: &Images, device: &Device) -> Result<RandomFeatures> {
        let of = |network: &Network| standardised(grid_features(&network.layers, images, device)?, &network.scale);
        let standardised: Vec<Features<'static>> = self.networks.iter().map(of).collect::<Result<_>>()?;
        let pairs = self.networks.iter().zip(&standardised);
        let whitened = pairs.map(|(network, features)| network.whitened(features)).collect::<Result<_>>()?;
        Ok(RandomFeatures { standardised, whitened })
    }
}

impl Network {
    fn whitened(&self, features: &Features<'_>) -> Result<Features<'static>> {
        Ok(match &self.whitening {
            Some(whitening) => whitening.apply(features)?,
            // Too few real images: there is no score either.
            None => features.select(&(0..features.images()).collect::<Vec<_>>()),
        })
    }
}

/// Means of the last map over the parts of the image, of every image.
fn grid_features(layers: &[Conv2d], images: &Images, device: &Device) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(images.len() * WIDTH);
    for batch in images.batches(device) {
        let mut x = batch?;
        for layer in layers {
            x = layer.forward_relu(&x)?;
        }
        let (_, _, height, width) = x.dims4()?;
        for map in to_f64(&x)?.chunks_exact(height * width) {
            all.extend(grid_means(map, height, width));
        }
    }
    Ok(all)
}

fn standardised(mut means: Vec<f32>, scale: &[(f32, f32)]) -> Result<Features<'static>> {
    let values = means.chunks_exact_mut(WIDTH).flat_map(|row| row.iter_mut().zip(scale));
    values.for_each(|(value, (mean, deviation))| *value = (*value - mean) / deviation);
    Ok(Features::new(means, WIDTH)?)
}

/// Means over the four quarters of a map; the middle row or column of an odd one belongs to the second half.
fn grid_means(map: &[f64], height: usize, width: usize) -> [f32; GRID * GRID] {
    let mut sums = [0.0; GRID * GRID];
    let mut counts = [0.0; GRID * GRID];
    for (at, value) in map.iter().enumerate() {
        let (row, column) = (at / width, at % width);
        let part = usize::from(row >= height / 2) * GRID + usize::from(column >= width / 2);
        sums[part] += value;
        counts[part] += 1.0;
    }
    std::array::from_fn(|part| (sums[part] / counts[part]) as f32)
}

/// Mean and standard deviation of each feature. A feature that (almost) never varies is divided by the mean deviation, so that it
/// cannot outweigh all others in other images.
pub(super) fn standards(features: &[f32], width: usize) -> Vec<(f32, f32)> {
    let count = (features.len() / width).max(1) as f64;
    let mut moments = vec![(0.0, 0.0); width];
    for row in features.chunks_exact(width) {
        for ((mean, square), value) in moments.iter_mut().zip(row) {
            *mean += f64::from(*value) / count;
            *square += f64::from(*value) * f64::from(*value) / count;
        }
    }
    let deviation = |(mean, square): &(f64, f64)| (square - mean * mean).max(0.0).sqrt();
    let typical = moments.iter().map(deviation).sum::<f64>() / width as f64;
    let typical = if typical > 0.0 { typical } else { 1.0 };
    let standard = |moment: &(f64, f64)| {
        let own = deviation(moment);
        (moment.0 as f32, if own > 0.01 * typical { own } else { typical } as f32)
    };
    moments.iter().map(standard).collect()
}

impl RandomFeatures {
    /// Those of some images.
    pub fn select(&self, rows: &[usize]) -> Self {
        let of = |features: &[Features<'static>]| features.iter().map(|features| features.select(rows)).collect();
        Self { standardised: of(&self.standardised), whitened: of(&self.whitened) }
    }

    /// Those of all networks side by side: for distances between images.
    ///
    /// # Errors
    /// Networks that saw different images.
    pub fn joined(&self) -> Result<Features<'static>> {
        Ok(Features::joined(&self.standardised)?)
    }

    /// KID in each network.
    fn kids(&self, generated: &Self) -> Result<Vec<GenerationScore>> {
        let pairs = self.whitened.iter().zip(&generated.whitened);
        Ok(pairs.map(|(real, generated)| kid(real, generated)).collect::<std::result::Result<_, _>>()?)
    }

    /// KID as mean over the networks.
    ///
    /// # Errors
    /// Fewer than two images of either kind.
    pub fn kid(&self, generated: &Self) -> Result<GenerationScore> {
        Ok(mean_over_networks(&self.kids(generated)?.iter().collect::<Vec<_>>()))
    }

    /// All scores in each network.
    ///
    /// # Errors
    /// Fewer than two images of either kind.
    pub fn compare(&self, generated: &Self) -> Result<Vec<GenerationScores>> {
        let pairs = self.standardised.iter().zip(&generated.standardised).zip(self.kids(generated)?);
        pairs.map(|((real, generated), kid)| Ok(GenerationScores { kid, ..compare(real, generated)? })).collect()
    }
}

/// Mean and standard deviation of one score over the networks.
pub(super) fn mean_over_networks(scores: &[&GenerationScore]) -> GenerationScore {
    let n = scores.len() as f64;
    let mean = scores.iter().map(|score| score.value).sum::<f64>() / n;
    let variance = scores.iter().map(|score| (score.value - mean) * (score.value - mean)).sum::<f64>() / n;
    GenerationScore { value: mean, spread: Some(variance.sqrt()), ..scores[0].clone() }
}
