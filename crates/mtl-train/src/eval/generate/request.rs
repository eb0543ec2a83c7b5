//! What is wanted of a generator, and what was made.

use std::path::{Path, PathBuf};

use mtl_gen::Sampling;
use serde::Serialize;

/// Which images are wanted.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// Number of samples, or of pairs of an edit. Default 64.
    pub count: usize,
    /// Name of the class all of them are of. Default: of samples all classes in turn, of an interpolation between seeds the
    /// first class, of given images the class that the model predicts.
    pub class: Option<String>,
    /// Equal seeds give equal images. Default 0.
    pub seed: u64,
    /// Name of the generator. Default: the one that was trained last.
    pub generator: Option<String>,
    /// Folder for the images, new or empty. Default: `RUN/samples/GENERATOR-0001`, or the next number that is free.
    pub out: Option<PathBuf>,
    /// Settings of sampling.
    pub sampling: Sampling,
    /// Kind of images. Default: samples.
    pub work: Work,
    /// The same latents are also decoded with another class.
    pub edit: Option<Edit>,
    /// Whether the run's own heads predict all tasks for the images. Default: no.
    pub predict: bool,
}

impl Default for GenerateRequest {
    fn default() -> Self {
        Self {
            count: 64,
            class: None,
            seed: 0,
            generator: None,
            out: None,
            sampling: Sampling::default(),
            work: Work::Samples,
            edit: None,
            predict: false,
        }
    }
}

/// Kind of images.
#[derive(Clone, Debug)]
pub enum Work {
    /// Samples as a data set: one file each, a manifest, and a grid to look at.
    Samples,
    /// Samples as one picture.
    Grid,
    /// The images that the generator can make most like these files.
    Like(Vec<PathBuf>),
    /// Frames from one end to the other and back, as GIF and APNG.
    Interpolate {
        /// First and last frame.
        ends: [Endpoint; 2],
        /// Frames from the first end to the last, both included: 2 to 1000.
        frames: usize,
    },
}

/// One end of an interpolation.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The first sample of this seed.
    Seed(u64),
    /// The image that the generator can make most like this file.
    Image(PathBuf),
}

/// A change of the label that images are decoded with.
#[derive(Clone, Debug)]
pub struct Edit {
    /// `class`, or the name of the task that conditions the generators.
    pub key: String,
    /// Name of the new class.
    pub class: String,
}

/// New images on the disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Generated {
    /// Name of the generator.
    pub generator: String,
    /// The folder of everything that was written.
    pub folder: PathBuf,
    /// All images in one picture.
    pub grid: PathBuf,
    /// One file per image.
    pub images: Vec<PathBuf>,
    /// The class that each was generated with; `None` without classes.
    pub classes: Vec<Option<String>>,
    /// Of samples: a `manifest.csv` that makes the folder a data set of training images, marked as generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<PathBuf>,
    /// Of an edit: the images before it, in the order of `images`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PathBuf>,
    /// Given images: how near the generator came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inversions: Vec<Inversion>,
    /// GIF and APNG of an interpolation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub animations: Vec<PathBuf>,
    /// Table of the predictions for `images`, as of `predict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PathBuf>,
    /// Images and their predicted masks in one picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlays: Option<PathBuf>,
    /// How often the predicted class is the class of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// What was chosen without being asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the user should know: the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// How near a generator came to a given image.
#[derive(Clone, Debug, Serialize)]
pub struct Inversion {
    /// The image file.
    pub image: PathBuf,
    /// The class it is decoded with; `None` without classes.
    pub class: Option<String>,
    /// Probability of the class, if it is the model's own prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The best start: `encoder`, `encoder of vae`, `mean of the class`, `sample`.
    pub start: String,
    /// Root mean square error of the start's image, in grey levels from 0 to 255.
    pub start_rmse: f64,
    /// Peak signal-to-noise ratio of the start's image, in dB.
    pub start_psnr: f64,
    /// Root mean square error after the optimisation, in grey levels.
    pub rmse: f64,
    /// Peak signal-to-noise ratio after the optimisation, in dB.
    pub psnr: f64,
    /// Steps of the optimisation.
    pub steps: usize,
}

/// One step of the optimisation of latents.
#[derive(Clone, Copy, Debug)]
pub struct InversionStep<'a> {
    /// The image file.
    pub image: &'a Path,
    /// The step, from 1.
    pub step: usize,
    /// Steps of this image.
    pub steps: usize,
    /// Root mean square error of the best start so far, in grey levels.
    pub rmse: f64,
}

/// How often the predicted class of a generated image is the class it was generated with. The model judges its own images, so
/// this is no independent measure of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// The task whose classes condition the generators.
    pub task: String,
    /// Images whose predicted class is their own.
    pub agreeing: usize,
    /// All images.
    pub images: usize,
}
