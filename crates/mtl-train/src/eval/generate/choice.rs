//! Generator, classes and folder of a request.

use std::path::{Path, PathBuf};

use mtl_gen::{Generator, Sampling};
use mtl_registry::UnknownName;
use mtl_rng::{Seed, Stream};
use mtl_tensor::Tensor;

use super::request::{GenerateRequest, Generated};
use crate::config::JOINT;
use crate::error::{Error, Result};
use crate::eval::generation::images::BATCH;
use crate::store::LoadedRun;

/// Most images of one request.
const MOST: usize = 100_000;

/// A generator with the settings of a request.
pub(super) struct Chosen<'a> {
    pub run: &'a LoadedRun,
    pub request: &'a GenerateRequest,
    pub name: String,
    pub generator: &'a dyn Generator,
    /// Names of the classes; empty for unconditional generators.
    pub classes: &'a [String],
    /// The class of all images, if the request names one.
    pub class: Option<i32>,
    folder: &'a Path,
}

impl<'a> Chosen<'a> {
    /// # Errors
    /// No such generator, an unknown class, a number of images or settings of sampling out of range.
    pub fn new(run: &'a LoadedRun, folder: &'a Path, request: &'a GenerateRequest) -> Result<Self> {
        let name = choose_generator(run, request.generator.as_deref())?;
        let generator = &*run.model.generators[&name];
        if request.count == 0 || request.count > MOST {
            let problem = format!("from 1 to {MOST} images can be generated at once, not {}", request.count);
            return Err(Error::setting("count", problem));
        }
        generator.check_sampling(&request.sampling)?;
        let classes = run.schema.condition_classes();
        let mut chosen = Self { run, request, name, generator, classes, class: None, folder };
        chosen.class = request.class.as_deref().map(|class| chosen.label(class)).transpose()?;
        Ok(chosen)
    }

    /// The label of a class.
    ///
    /// # Errors
    /// An unknown class, one without training images, a generator without classes.
    pub fn label(&self, class: &str) -> Result<i32> {
        if self.classes.is_empty() {
            let problem = format!("`{class}`: generator `{}` has no classes; leave it out", self.name);
            return Err(Error::setting("class", problem));
        }
        let Some(at) = self.classes.iter().position(|name| name == class) else {
            return Err(UnknownName::new("class", class, self.classes.iter().map(String::as_str)).into());
        };
        if !self.is_trained(at) {
            let names: Vec<&str> = self.trained_labels().map(|label| &*self.classes[label as usize]).collect();
            let problem = format!(
                "`{class}` had no training image, and the generator has not seen it; it has: {}",
                names.join(", ")
            );
            return Err(Error::setting("class", problem));
        }
        Ok(at as i32)
    }

    /// Labels of the classes that had training images.
    pub fn trained_labels(&self) -> impl Iterator<Item = i32> {
        (0..self.classes.len()).filter(|&at| self.is_trained(at)).map(|at| at as i32)
    }

    fn is_trained(&self, class: usize) -> bool {
        let schema = &self.run.schema;
        let counts = schema.condition.and_then(|task| schema.class_counts.get(task));
        // Weights of another run may have seen other images than this run's.
        self.run.config.model.init_from.is_some()
            || counts.is_none_or(|counts| counts.iter().all(|&n| n == 0) || counts.get(class).is_none_or(|&n| n > 0))
    }

    /// One label per image: the class of the request, else all classes in turn but `without`.
    ///
    /// # Errors
    /// No class is left.
    pub fn labels(&self, without: Option<i32>) -> Result<Vec<i32>> {
        let count = self.request.count;
        if let Some(class) = self.class {
            return Ok(vec![class; count]);
        }
        if self.classes.is_empty() {
            return Ok(vec![-1; count]);
        }
        let labels: Vec<i32> = self.trained_labels().filter(|&label| Some(label) != without).collect();
        if labels.is_empty() {
            return Err(Error::setting("class", "the generator has no other class"));
        }
        Ok(labels.iter().copied().cycle().take(count).collect())
    }

    /// Name of a label's class.
    pub fn class_name(&self, label: i32) -> Option<String> {
        usize::try_from(label).ok().and_then(|label| self.classes.get(label).cloned())
    }

    /// The stream of samples.
    pub fn stream(seed: u64) -> Stream {
        Seed::new(seed).stream("generate", &[])
    }

    /// Latents to images `[B, C, H, W]`, some at a time.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn decode(&self, z: &Tensor, labels: &[i32]) -> Result<Tensor> {
        let mut images = Vec::new();
        for (at, labels) in labels.chunks(BATCH).enumerate() {
            let z = z.narrow(0, at * BATCH, labels.len())?.contiguous()?;
            images.push(self.generator.decode(&z, labels, &self.request.sampling)?.detach());
        }
        Ok(Tensor::cat(&images, 0)?)
    }

    /// Latents of the generator with the request's settings, but for `truncation`.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn latents(&self, labels: &[i32], truncation: f64, stream: &mut Stream) -> Result<Tensor> {
        let sampling = Sampling { truncation, ..self.request.sampling };
        Ok(self.generator.latents(labels, &sampling, stream)?)
    }

    /// The mean of the latents of a class, `[1, latent]`.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn mean(&self, label: i32) -> Result<Tensor> {
        Ok(self.generator.mean_latents(&[label])?)
    }

    /// The result of a request in a folder of its own: nobody's images or manifest are written over.
    ///
    /// # Errors
    /// A folder that is not empty or cannot be made.
    pub fn begin(&self) -> Result<Generated> {
        let folder = new_folder(self.folder, &self.name, self.request.out.as_deref())?;
        std::fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
        Ok(Generated { generator: self.name.clone(), folder, ..Generated::default() })
    }
}

/// The folder to write to: nobody's images or manifest are written over.
fn new_folder(run: &Path, generator: &str, wanted: Option<&Path>) -> Result<PathBuf> {
    let Some(out) = wanted else {
        let numbered = |number: u32| run.join("samples").join(format!("{generator}-{number:04}"));
        let free = (1..10_000).map(numbered).find(|path| !path.exists());
        return free
            .ok_or_else(|| Error::Run { path: run.join("samples"), problem: "holds 9,999 sets of samples".into() });
    };
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::OutputNotEmpty { path: out.to_owned() });
    }
    Ok(out.to_owned())
}

/// Whether a run has trained the generator `name`.
fn trained(run: &LoadedRun, name: &str) -> bool {
    // A generator may have been trained as an objective of the joint stage, or by the run the weights are from.
    let jointly = run.model.objectives.iter().any(|objective| objective.generator() == Some(name));
    let loaded = run.config.model.init_from.is_some() && !run.config.stages.runs(name) && !jointly;
    run.passed(name) || (jointly && run.passed(JOINT)) || loaded
}

/// The wanted generator, or all that the run has trained, in the order of their names.
///
/// # Errors
/// A generator that does not exist or is not trained; no trained one at all.
pub(in crate::eval) fn choose_generators(run: &LoadedRun, wanted: Option<&str>) -> Result<Vec<String>> {
    if wanted.is_some() {
        return Ok(vec![choose_generator(run, wanted)?]);
    }
    let names: Vec<String> = run.model.generators.keys().filter(|name| trained(run, name)).cloned().collect();
    if names.is_empty() { Err(Error::NoGenerator) } else { Ok(names) }
}

/// The generator to sample from: the wanted one, else the one that was trained last.
fn choose_generator(run: &LoadedRun, wanted: Option<&str>) -> Result<String> {
    let trained = |name: &str| trained(run, name);
    let names: Vec<&str> = run.model.generators.keys().map(String::as_str).collect();
    match wanted {
        Some(name) if !names.contains(&name) => {
            let of_config = run.config.generators.keys().map(String::as_str);
            let kind = mtl_gen::GENERATORS.iter().any(|entry| entry.name == name);
            if kind || run.config.generators.contains_key(name) {
                return Err(Error::Untrained { generator: name.to_owned() });
            }
            Err(UnknownName::new("generator", name, of_config).into())
        }
        Some(name) if trained(name) => Ok(name.to_owned()),
        Some(name) => Err(Error::Untrained { generator: name.to_owned() }),
        None => {
            let stages = run.config.stages.of_generators().filter(|name| trained(name)).last();
            let any = || names.iter().copied().find(|name| trained(name));
            stages.or_else(any).map(str::to_owned).ok_or(Error::NoGenerator)
        }
    }
}
