//! The network `inception`: the Inception-v3 of the FID, with weights that the user gives.
//!
//! Images are resized and scaled as TensorFlow 1 does and torch-fidelity after it: that is the definition of the FID (Heusel et
//! al. 2017). pytorch-fid takes the same weights with PyTorch's resizing, and its numbers differ a little.

mod blocks;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mtl_metrics::generation::{Features, GenerationScore, GenerationScores, compare};
use mtl_tensor::{Device, Tensor, serial, to_f64};
use serde::{Deserialize, Serialize};

use self::blocks::Network;
use self::weights::Weights;
use super::images::Images;
use super::report::NetworkScores;
use crate::error::{Error, Result};
use crate::store::atomic::{sha256, write_atomically};

/// Name in tables and files.
pub(super) const NAME: &str = "inception";
/// Begin of the SHA-256 of the published weights, the end of their file's name.
const KNOWN: &str = "6726825d";
/// The files that are meant.
const FILES: &str = "pt_inception-2015-12-05-6726825d.pth of pytorch-fid, weights-inception-2015-12-05-6726825d.pth of \
                     torch-fidelity, or a safetensors file of the same tensors";
/// Features per image.
const WIDTH: usize = 2048;
/// Height and width of its input.
const SIDE: usize = 299;
/// Images per batch.
const BATCH: usize = 16;
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(20);
/// Version of resizing and network, for kept features.
const VERSION: u32 = 1;

/// The weights that were used.
#[derive(Clone, Debug, Serialize)]
pub struct InceptionReport {
    /// The file.
    pub file: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Whether these are the published weights, so that the Frechet distance is the FID.
    pub published: bool,
    /// How images are resized.
    pub resize: &'static str,
    /// Whether features of the real images were kept from an earlier evaluation.
    pub kept: bool,
}

/// The network.
pub(super) struct Inception {
    network: Network,
    device: Device,
    file: PathBuf,
    sha256: String,
}

impl Inception {
    /// For images of `channels`.
    ///
    /// # Errors
    /// A file that cannot be read, or holds anything but the weights of this network; images that are neither grey nor in colour.
    pub fn open(file: &Path, channels: usize, device: &Device) -> Result<Self> {
        if channels != 1 && channels != 3 {
            let problem =
                format!("the run's images have {channels} channels, and Inception-v3 takes grey or colour images");
            return Err(Error::setting(NAME, problem));
        }
        let bytes = std::fs::read(file).map_err(Error::io("cannot read", file))?;
        let network = Weights::read(&bytes).and_then(|weights| Network::new(weights, device));
        let wrong = |problem| Error::setting(NAME, format!("{}: {problem}; expected {FILES}", file.display()));
        Ok(Self {
            network: network.map_err(wrong)?,
            device: device.clone(),
            file: file.to_owned(),
            sha256: sha256(&bytes),
        })
    }

    fn published(&self) -> bool {
        self.sha256.starts_with(KNOWN)
    }

    /// Its name in tables: only the published weights are "inception".
    fn name(&self) -> String {
        if self.published() {
            return NAME.to_owned();
        }
        let file = self.file.file_name().unwrap_or(self.file.as_os_str());
        format!("Inception features of {}", file.display())
    }

    /// Features of every image, in the order of rows.
    fn values(&self, images: &Images, what: &str, progress: &mut dyn FnMut(&str)) -> Result<Vec<f32>> {
        progress(&format!("Inception features of {} {what}", images.len()));
        let mut all = Vec::with_capacity(images.len() * WIDTH);
        let mut shown = Instant::now();
        for first in (0..images.len()).step_by(BATCH) {
            let rows = first..(first + BATCH).min(images.len());
            let input = Tensor::from_vec(resized(images, rows.clone()), (rows.len(), 3, SIDE, SIDE), &self.device)?;
            all.extend(to_f64(&self.network.forward(&input)?)?.into_iter().map(|value| value as f32));
            if shown.elapsed() > PROGRESS {
                progress(&format!("Inception features of {what}: {} of {}", rows.end, images.len()));
                shown = Instant::now();
            }
        }
        Ok(all)
    }
}

/// Images `[B, 3, 299, 299]` in `[-1, 1)`: bilinear interpolation between corners as in TensorFlow 1, without smoothing, then `(x -
/// 128) / 128`. Grey images are repeated.
fn resized(images: &Images, rows: std::ops::Range<usize>) -> Vec<f32> {
    let (channels, height, width) = images.shape;
    let (down, across) = (mixes(height), mixes(width));
    let mut all = Vec::with_capacity(rows.len() * 3 * SIDE * SIDE);
    for image in images.bytes.chunks_exact(channels * height * width).take(rows.end).skip(rows.start) {
        for plane in image.chunks_exact(height * width).cycle().take(3) {
            for &(top, bottom, below) in &down {
                let (top, bottom) = (&plane[top * width..][..width], &plane[bottom * width..][..width]);
                all.extend(across.iter().map(|&(left, right, share)| {
                    let between = |row: &[u8]| {
                        let (left, right) = (f32::from(row[left]), f32::from(row[right]));
                        left + (right - left) * share
                    };
                    let (top, bottom) = (between(top), between(bottom));
                    (top + (bottom - top) * below - 128.0) / 128.0
                }));
            }
        }
    }
    all
}

/// The two pixels along an axis of `length` that each output pixel lies between, and the share of the second one.
fn mixes(length: usize) -> Vec<(usize, usize, f32)> {
    let scale = (length as f64 / SIDE as f64) as f32;
    let mix = |at: usize| {
        let place = at as f32 * scale;
        let left = (place as usize).min(length - 1);
        (left, (left + 1).min(length - 1), place - left as f32)
    };
    (0..SIDE).map(mix).collect()
}

/// The network with its features of real images.
pub(super) struct RealInception {
    inception: Inception,
    held_out: Features<'static>,
    /// Of the training images that are the floor.
    training: Features<'static>,
    pub report: InceptionReport,
}

/// Everything that kept features depend on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// Of the file of weights.
    inception_sha256: String,
    /// Of held-out images and those of the floor.
    images_sha256: [String; 2],
    /// Of the file of features.
    features_sha256: String,
}

impl RealInception {
    /// The features kept in `folder`, if they are those of the same images and weights; else computes them and keeps them there.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn new(
        inception: Inception,
        folder: &Path,
        [held_out, training]: [&Images; 2],
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let (path, about) = (folder.join("inception.safetensors"), folder.join("inception.json"));
        let expected = |features_sha256| Kept {
            version: VERSION,
            inception_sha256: inception.sha256.clone(),
            images_sha256: [held_out.sha256(), training.sha256()],
            features_sha256,
        };
        let found: Option<Kept> = std::fs::read(&about).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let found = found.zip(std::fs::read(&path).ok()).filter(|(found, bytes)| *found == expected(sha256(bytes)));
        let kept = match found {
            Some((_, bytes)) => read(&bytes)?,
            None => None,
        };
        let is_kept = kept.is_some();
        let [real, floor] = match kept {
            Some(features) => features,
            None => {
                let real = inception.values(held_out, "held-out images", progress)?;
                let floor = inception.values(training, "training images, for the floor", progress)?;
                let bytes = written(&real, &floor)?;
                std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
                write_atomically(&path, &bytes)?;
                let text = serde_json::to_vec_pretty(&expected(sha256(&bytes)))
                    .map_err(|error| Error::io("cannot write", &about)(std::io::Error::other(error)))?;
                write_atomically(&about, &text)?;
                [real, floor]
            }
        };
        let report = InceptionReport {
            file: inception.file.clone(),
            sha256: inception.sha256.clone(),
            published: inception.published(),
            resize: "bilinear as TensorFlow 1 and torch-fidelity, to 299x299",
            kept: is_kept,
        };
        let (held_out, training) = (Features::new(real, WIDTH)?, Features::new(floor, WIDTH)?);
        Ok(Self { inception, held_out, training, report })
    }

    /// What the user should know about the names of the scores.
    pub fn note(&self) -> Option<String> {
        (!self.report.published).then(|| {
            format!(
                "{}: not the published weights (its SHA-256 begins with {}, theirs with {KNOWN}): the Frechet distance is not \
                 called FID",
                self.report.file.display(),
                &self.report.sha256[..KNOWN.len()]
            )
        })
    }

    /// Scores of training images in place of samples.
    pub fn floor(&self) -> Result<NetworkScores> {
        Ok(self.named(&compare(&self.held_out, &self.training)?))
    }

    /// Scores of samples.
    pub fn scores(&self, samples: &Images, what: &str, progress: &mut dyn FnMut(&str)) -> Result<NetworkScores> {
        let features = Features::new(self.inception.values(samples, what, progress)?, WIDTH)?;
        Ok(self.named(&compare(&self.held_out, &features)?))
    }

    fn named(&self, scores: &GenerationScores) -> NetworkScores {
        let named = |score: &GenerationScore| match score.name.as_str() {
            "frechet_distance" if self.report.published => GenerationScore { name: "fid".into(), ..score.clone() },
            _ => score.clone(),
        };
        NetworkScores { network: self.inception.name(), scores: scores.list().into_iter().map(named).collect() }
    }
}

fn written(real: &[f32], floor: &[f32]) -> Result<Vec<u8>> {
    let tensor = |values: &[f32]| Tensor::from_slice(values, (values.len() / WIDTH, WIDTH), &Device::Cpu);
    let tensors = BTreeMap::from([("held_out".to_owned(), tensor(real)?), ("floor".to_owned(), tensor(floor)?)]);
    Ok(serial::to_bytes(&tensors, &BTreeMap::new())?)
}

fn read(bytes: &[u8]) -> Result<Option<[Vec<f32>; 2]>> {
    let tensors = serial::from_bytes(bytes)?;
    let (Some(real), Some(floor)) = (tensors.get("held_out"), tensors.get("floor")) else { return Ok(None) };
    Ok(Some([real.flatten_all()?.to_vec1()?, floor.flatten_all()?.to_vec1()?]))
}
