//! New images from a trained run, as a data set.

use std::path::{Path, PathBuf};

use mtl_gen::Sampling;
use mtl_registry::UnknownName;
use mtl_rng::Seed;
use serde::Serialize;

use super::pictures::{tiles, write_grid};
use crate::config::JOINT;
use crate::error::{Error, Remedy, Result};
use crate::store::LoadedRun;

/// Which new images are wanted.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// How many.
    pub count: usize,
    /// Name of the class all of them are of; without one, all classes in turn.
    pub class: Option<String>,
    /// Equal seeds give equal images.
    pub seed: u64,
    /// Name of the generator. Default: the one that was trained last.
    pub generator: Option<String>,
    /// Folder for the images, new or empty. Default: `RUN/samples/GENERATOR-0001`, or the next number that is free.
    pub out: Option<PathBuf>,
}

/// New images on the disk.
#[derive(Clone, Debug, Serialize)]
pub struct Generated {
    /// All images in one picture.
    pub grid: PathBuf,
    /// One file an image.
    pub images: Vec<PathBuf>,
    /// The class of each, as in a manifest; `None` without classes.
    pub classes: Vec<Option<String>>,
    /// A `manifest.csv` that makes the folder a data set of training images, marked as generated.
    pub manifest: PathBuf,
    /// Name of the generator.
    pub generator: String,
    /// What the user should know: the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// Columns of the manifest besides that of the classes.
const IMAGE: &str = "image";
const GENERATED: &str = "generated";
const SEED: &str = "generated_seed";

/// Draws new images with a run's generator and writes them as a data set: one PNG each, a manifest, the classes of its task
/// (`classes.csv`), and a grid to look at. Read together with the real images, it has the same task, and its images are for
/// training only.
///
/// # Errors
/// A run without that generator, an unknown class, a folder that cannot be written to, a task with the name of a column.
pub fn generate(run: &Path, request: &GenerateRequest, device: Option<&str>) -> Result<Generated> {
    draw(run, request, device).map_err(|error| error.advise(Remedy::OtherOutput))
}

fn draw(run: &Path, request: &GenerateRequest, device: Option<&str>) -> Result<Generated> {
    let trained = LoadedRun::load(run, device)?;
    let name = choose_generator(&trained, request.generator.as_deref())?;
    let generator = &trained.model.generators[&name];
    if request.count == 0 || request.count > 100_000 {
        return Err(Error::setting(
            "count",
            format!("from 1 to 100,000 images can be drawn at once, not {}", request.count),
        ));
    }
    let classes = trained.schema.condition_classes();
    let labels = choose_labels(classes, request)?;
    let task = trained.schema.condition.map(|task| trained.schema.tasks[task].name.as_str());
    if let Some(task) = task.filter(|task| [IMAGE, GENERATED, SEED].contains(task)) {
        let problem = format!("a manifest has a column `{task}` of its own: rename the task (data.sources, `rename`)");
        return Err(Error::DataMismatch(format!("task `{task}`: {problem}")));
    }
    let out = new_folder(run, &name, request.out.as_deref())?;
    let pictures = out.join("images");
    std::fs::create_dir_all(&pictures).map_err(Error::io("cannot create", &pictures))?;
    let mut stream = Seed::new(request.seed).stream("generate", &[]);
    let (mut all, mut files) = (Vec::new(), Vec::new());
    let manifest = out.join("manifest.csv");
    let failed = |error: csv::Error| Error::io("cannot write", &manifest)(std::io::Error::other(error));
    let mut rows = csv::Writer::from_path(&manifest).map_err(failed)?;
    rows.write_record([IMAGE].into_iter().chain(task).chain([GENERATED, SEED])).map_err(failed)?;
    let seed = request.seed.to_string();
    for labels in labels.chunks(64) {
        let images = generator.sample(labels, &Sampling::default(), &mut stream)?;
        for (tile, label) in tiles(&images)?.into_iter().zip(labels) {
            let name = format!("{:05}.png", files.len());
            tile.write(&pictures.join(&name))?;
            let class = usize::try_from(*label).ok().and_then(|label| classes.get(label)).map(String::as_str);
            let image = format!("images/{name}");
            let class = task.map(|_| class.unwrap_or_default());
            rows.write_record([&*image].into_iter().chain(class).chain(["true", &*seed])).map_err(failed)?;
            files.push(pictures.join(name));
            all.push(tile);
        }
    }
    rows.flush().map_err(Error::io("cannot write", &manifest))?;
    if let Some(task) = task {
        write_classes(&out.join("classes.csv"), task, classes)?;
    }
    let grid = out.join("grid.png");
    let columns = (all.len() as f64).sqrt().ceil() as usize;
    write_grid(
        &grid,
        &all,
        if classes.len() > 1 && request.class.is_none() { classes.len().min(16) } else { columns },
    )?;
    let named =
        labels.iter().map(|&label| usize::try_from(label).ok().and_then(|label| classes.get(label).cloned())).collect();
    Ok(Generated { grid, images: files, classes: named, manifest, generator: name, warning: trained.warning.clone() })
}

/// The classes in the order of the model, so that the manifest's task has all of them however few images there are.
fn write_classes(path: &Path, task: &str, classes: &[String]) -> Result<()> {
    let failed = |error: csv::Error| Error::io("cannot write", path)(std::io::Error::other(error));
    let mut rows = csv::Writer::from_path(path).map_err(failed)?;
    rows.write_record(["task", "class"]).map_err(failed)?;
    classes.iter().try_for_each(|class| rows.write_record([task, class])).map_err(failed)?;
    rows.flush().map_err(Error::io("cannot write", path))
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
pub(super) fn choose_generators(run: &LoadedRun, wanted: Option<&str>) -> Result<Vec<String>> {
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

fn choose_labels(classes: &[String], request: &GenerateRequest) -> Result<Vec<i32>> {
    match &request.class {
        Some(name) => match classes.iter().position(|class| class == name) {
            Some(at) => Ok(vec![at as i32; request.count]),
            None => Err(UnknownName::new("class", name, classes.iter().map(String::as_str)).into()),
        },
        None if classes.is_empty() => Ok(vec![-1; request.count]),
        None => Ok((0..request.count).map(|at| (at % classes.len()) as i32).collect()),
    }
}
