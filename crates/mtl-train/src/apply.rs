//! Using a trained run: scores on data, predictions for images, new images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use mtl_data::{Size, decode, loader};
use mtl_metrics::Prediction;
use mtl_registry::UnknownName;
use mtl_rng::Seed;
use mtl_task::TaskKind;
use mtl_tensor::{Device, Tensor, ops, to_f64};
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Stage};
use crate::error::{Error, Result};
use crate::evaluate::{baselines, match_tasks, outputs, score};
use crate::event::TaskScores;
use crate::model::Model;
use crate::pictures::{class_colour, save, tiles, write_grid};
use crate::plan::{Plan, RunSchema};
use crate::run::file_name;
use crate::{run_dir, settings};

/// A run's model with the weights it is to be used with.
#[derive(Debug)]
pub struct Trained {
    /// The settings it was trained with.
    pub config: Config,
    /// Its tasks and image size.
    pub schema: RunSchema,
    /// The networks.
    pub model: Model,
    /// Where it runs.
    pub device: Device,
    /// The checkpoint the weights are from.
    pub checkpoint: PathBuf,
    /// How far training had come.
    pub stage: (Stage, bool),
    /// A sentence the user should see, if the best checkpoint was damaged.
    pub warning: Option<String>,
}

/// Reads `schema.json` of a run.
pub(crate) fn read_schema(run: &Path) -> Result<RunSchema> {
    let path = run.join("schema.json");
    let text = std::fs::read(&path).map_err(Error::io("cannot read", &path))?;
    serde_json::from_slice(&text).map_err(|error| Error::Run { path, problem: format!("is damaged: {error}") })
}

impl Trained {
    /// Loads a run: the best checkpoint, or while there is none the last, with averaged weights.
    ///
    /// # Errors
    /// Not a run folder, nothing saved yet, a checkpoint that is damaged or of another model.
    pub fn load(run: &Path, device: Option<&str>) -> Result<Self> {
        run_dir::check(run)?;
        let config = settings::read_resolved(&run.join("config.toml"))?;
        let schema = read_schema(run)?;
        let device = mtl_tensor::device::parse(device.unwrap_or(&config.device))
            .map_err(|error| Error::Config(format!("device: {error}")))?;
        let model = Model::new(&config, &schema, &device)?;
        let root = run.join("checkpoints");
        let name = if root.join("best").exists() { "best" } else { "last" };
        let (checkpoint, path, warning) = Checkpoint::load_named(&root, name)?;
        let mut weights = checkpoint.weights;
        weights.extend(checkpoint.averages);
        model
            .params
            .load(&weights)
            .map_err(|error| Error::Checkpoint { path: path.clone(), problem: error.to_string() })?;
        let stage = (checkpoint.state.stage, checkpoint.state.stage_finished);
        Ok(Self { config, schema, model, device, checkpoint: path, stage, warning })
    }
}

/// Scores of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The run folder.
    pub run: PathBuf,
    /// The data set's name.
    pub data: String,
    /// The checkpoint that was scored.
    pub checkpoint: PathBuf,
    /// `test` for the held-out side of the run's own data, `all` for every image of other data.
    pub part: &'static str,
    /// Images scored.
    pub images: usize,
    /// Scores and baselines of each task that has labels.
    pub scores: Vec<TaskScores>,
    /// What the user should know: the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// Scores a run on the held-out side of its own data, or on every image of the folder `data`. The baseline is learnt from
/// the run's own training labels, if its data is still there.
///
/// # Errors
/// Data that cannot be read or labels none of the model's tasks.
pub fn evaluate(run: &Path, data: Option<&Path>, device: Option<&str>) -> Result<Evaluation> {
    let trained = Trained::load(run, device)?;
    let own = Plan::new(trained.config.clone());
    let mirrored = trained.config.joint.mirrored;
    let batch = trained.config.joint.batch;
    let (columns, loader, constants, part, name) = match data {
        None => {
            let plan = own?;
            let test = plan.loader(&plan.split.test, batch, false, "test")?;
            let columns = plan.columns.iter().copied().map(Some).collect::<Vec<_>>();
            (columns, test, Some(baselines(&plan)?), "test", plan.schema.data.clone())
        }
        Some(path) => {
            let mut options = trained.config.data.open.clone();
            options.channels = Some(trained.schema.channels);
            let other = open_like(path, &options)?;
            let columns = match_tasks(&trained.schema.tasks, &*other)?;
            let rows = (0..other.len()).collect();
            let name = other.schema().name.clone();
            let loader =
                loader::Loader::new(other, rows, trained.schema.size(), loader::Config::plain(batch), Seed::new(0))?;
            let constants = own.ok().map(|plan| baselines(&plan)).transpose()?;
            (columns, loader, constants, "all", name)
        }
    };
    let scores = score(&trained.model, &loader, &columns, constants.as_deref(), mirrored, &trained.device)?;
    Ok(Evaluation {
        run: run.to_owned(),
        data: name,
        checkpoint: trained.checkpoint,
        part,
        images: loader.rows(),
        scores,
        warning: trained.warning,
    })
}

/// Opens other data with the options of a run; a reader named for the run need not fit the other folder.
fn open_like(path: &Path, options: &mtl_data::OpenOptions) -> Result<Arc<dyn mtl_data::Dataset>> {
    match mtl_data::open(path, options) {
        Ok(data) => Ok(Arc::from(data)),
        Err(error) if options.reader.is_some() => {
            let free = mtl_data::OpenOptions { reader: None, ..options.clone() };
            mtl_data::open(path, &free).map(Arc::from).map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a run says about one image and one task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskPrediction {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// Probability of each class or label; of pixel tasks the share of pixels of each class.
    pub probabilities: Vec<(String, f64)>,
    /// Class indices as a grey PNG of the image's own size (dense tasks: 16 bit over the range 0 to 1).
    pub mask: Option<PathBuf>,
    /// The image with the mask's classes laid over it in colour.
    pub overlay: Option<PathBuf>,
}

/// What a run says about one image.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// The image file.
    pub image: PathBuf,
    /// One entry a task.
    pub tasks: Vec<TaskPrediction>,
}

/// What [`predict`] gives.
#[derive(Debug)]
pub struct Predictions {
    /// One entry an image, in order; an error for a file that cannot be used.
    pub images: Vec<Result<Predicted>>,
    /// What the user should know: the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// Predicts every task for image files; masks and overlays go to `out` (default: `RUN/predictions/images`). A file that cannot be
/// read is an error in its place, the others go on.
///
/// # Errors
/// A run that cannot be loaded.
pub fn predict(run: &Path, images: &[PathBuf], out: Option<&Path>, device: Option<&str>) -> Result<Predictions> {
    let trained = Trained::load(run, device)?;
    let out = out.map_or_else(|| run.join("predictions").join("images"), Path::to_path_buf);
    let mut stems = std::collections::BTreeMap::<String, usize>::new();
    let images = images
        .iter()
        .map(|path| {
            // Two images of one name from two folders must not write over each other.
            let stem = path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy().into_owned());
            let seen = stems.entry(stem.clone()).or_default();
            *seen += 1;
            let stem = if *seen == 1 { stem } else { format!("{stem}-{seen}") };
            predict_one(&trained, path, &out, &stem)
        })
        .collect();
    Ok(Predictions { images, warning: trained.warning })
}

fn predict_one(trained: &Trained, path: &Path, out: &Path, stem: &str) -> Result<Predicted> {
    let (size, channels) = (trained.schema.size(), trained.schema.channels);
    let (bytes, native) = decode::load(path, channels, size)?;
    let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
    let image = Tensor::from_vec(values, (1, channels, size.height, size.width), &trained.device)?;
    let found = outputs(&trained.model, &image, trained.config.joint.mirrored)?;
    let mut tasks = Vec::new();
    for (at, task) in trained.schema.tasks.iter().enumerate() {
        let p = &found.probabilities[at];
        let mut entry = TaskPrediction {
            task: task.name.clone(),
            kind: task.kind.name(),
            probabilities: Vec::new(),
            mask: None,
            overlay: None,
        };
        match &task.kind {
            TaskKind::Classification { classes } | TaskKind::MultiLabel { labels: classes } => {
                entry.probabilities = classes.iter().cloned().zip(to_f64(p)?).collect();
            }
            TaskKind::Segmentation { classes } => {
                let full = ops::upsample_bilinear(p, native.height, native.width)?;
                let Prediction::Mask(mask) = trained.model.heads[at].1.predict(&full)? else { continue };
                let share =
                    |class: usize| mask.iter().filter(|&&p| usize::from(p) == class).count() as f64 / mask.len() as f64;
                entry.probabilities =
                    classes.iter().cloned().enumerate().map(|(class, name)| (name, share(class))).collect();
                let name = |kind: &str| out.join(format!("{stem}_{}{kind}.png", file_name(&task.name)));
                let (mask_path, overlay_path) = (name(""), name("_overlay"));
                save(&mask_path, &grey(&mask, native))?;
                save(&overlay_path, &overlay(path, channels, native, &mask)?)?;
                (entry.mask, entry.overlay) = (Some(mask_path), Some(overlay_path));
            }
            TaskKind::Dense { .. } => {
                let full = to_f64(&ops::upsample_bilinear(p, native.height, native.width)?)?;
                let level = |v: f64| (v.clamp(0.0, 1.0) * 65_535.0).round() as u16;
                let picture = image::ImageBuffer::from_fn(native.width as u32, native.height as u32, |x, y| {
                    Luma([level(full[y as usize * native.width + x as usize])])
                });
                let path = out.join(format!("{stem}_{}.png", file_name(&task.name)));
                save(&path, &DynamicImage::ImageLuma16(picture))?;
                entry.mask = Some(path);
            }
        }
        tasks.push(entry);
    }
    Ok(Predicted { image: path.to_owned(), tasks })
}

fn grey(mask: &[u8], size: Size) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        Luma([mask[y as usize * size.width + x as usize]])
    }))
}

/// The image at its own size, every foreground class half-way to its colour.
fn overlay(path: &Path, channels: usize, size: Size, mask: &[u8]) -> Result<DynamicImage> {
    let (bytes, _) = decode::load(path, channels, size)?;
    let plane = size.height * size.width;
    Ok(DynamicImage::ImageRgb8(RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let at = y as usize * size.width + x as usize;
        let pixel = [0, 1, 2].map(|c| bytes[if channels == 1 { at } else { c * plane + at }]);
        match mask[at] {
            0 => Rgb(pixel),
            class => {
                let colour = class_colour(class);
                Rgb([0, 1, 2].map(|c| ((u16::from(pixel[c]) + u16::from(colour[c])) / 2) as u8))
            }
        }
    })))
}

/// Which new images are wanted.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// How many.
    pub count: usize,
    /// Name of the class all of them are of; without one, all classes in turn.
    pub class: Option<String>,
    /// Equal seeds give equal images.
    pub seed: u64,
    /// `gan` or `vae`; without, the GAN if it was trained, else the VAE.
    pub generator: Option<String>,
    /// Folder for the images. Default: `RUN/samples/SEED`.
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
    /// A `manifest.csv` that makes the folder a data set.
    pub manifest: PathBuf,
    /// `gan` or `vae`.
    pub generator: &'static str,
    /// What the user should know: the best checkpoint was damaged and another one is used.
    pub warning: Option<String>,
}

/// Draws new images with a run's generator and writes them as a data set: one PNG each, a manifest, and a grid to look at.
///
/// # Errors
/// A run without that generator, an unknown class, a folder that cannot be written to.
pub fn generate(run: &Path, request: &GenerateRequest, device: Option<&str>) -> Result<Generated> {
    let trained = Trained::load(run, device)?;
    let stage = choose_generator(&trained, request.generator.as_deref())?;
    let Some(generator) = trained.model.generator(stage) else {
        return Err(Error::Config(format!("the run has no {} generator", stage.name())));
    };
    if request.count == 0 || request.count > 100_000 {
        return Err(Error::Config(format!("{} images: from 1 to 100,000 can be drawn at once", request.count)));
    }
    let classes = trained.schema.condition_classes();
    let labels = choose_labels(classes, request)?;
    let out = request
        .out
        .clone()
        .unwrap_or_else(|| run.join("samples").join(format!("{}-seed{}", stage.name(), request.seed)));
    let pictures = out.join("images");
    std::fs::create_dir_all(&pictures).map_err(Error::io("cannot create", &pictures))?;
    let mut stream = Seed::new(request.seed).stream("generate", &[]);
    let (mut all, mut files, mut manifest) = (Vec::new(), Vec::new(), String::from("image"));
    if let Some(task) = trained.schema.condition {
        manifest += &format!(",{}", csv_cell(&trained.schema.tasks[task].name));
    }
    manifest += "\n";
    for labels in labels.chunks(64) {
        let images = generator.sample(labels, &mut stream)?;
        for (tile, label) in tiles(&images)?.into_iter().zip(labels) {
            let name = format!("{:05}.png", files.len());
            tile.write(&pictures.join(&name))?;
            manifest += &format!("images/{name}");
            if let Some(class) = usize::try_from(*label).ok().and_then(|label| classes.get(label)) {
                manifest += &format!(",{}", csv_cell(class));
            }
            manifest += "\n";
            files.push(pictures.join(name));
            all.push(tile);
        }
    }
    let manifest_path = out.join("manifest.csv");
    std::fs::write(&manifest_path, manifest).map_err(Error::io("cannot write", &manifest_path))?;
    let grid = out.join("grid.png");
    let columns = (all.len() as f64).sqrt().ceil() as usize;
    write_grid(
        &grid,
        &all,
        if classes.len() > 1 && request.class.is_none() { classes.len().min(16) } else { columns },
    )?;
    let named =
        labels.iter().map(|&label| usize::try_from(label).ok().and_then(|label| classes.get(label).cloned())).collect();
    Ok(Generated {
        grid,
        images: files,
        classes: named,
        manifest: manifest_path,
        generator: stage.name(),
        warning: trained.warning.clone(),
    })
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn choose_generator(trained: &Trained, wanted: Option<&str>) -> Result<Stage> {
    let learnt = |stage: Stage| {
        // The VAE may have learnt as a task of the joint stage; it can be drawn from once its prior is fitted.
        let as_task = stage == Stage::Vae
            && matches!(trained.model.image_task, Some(crate::model::ImageTask::Vae))
            && trained.stage >= (Stage::Joint, true);
        trained.model.generator(stage).is_some() && (trained.stage >= (stage, true) || as_task)
    };
    match wanted {
        Some("gan") if learnt(Stage::Gan) => Ok(Stage::Gan),
        Some("vae") if learnt(Stage::Vae) => Ok(Stage::Vae),
        Some(name @ ("gan" | "vae")) => Err(Error::Config(format!(
            "the run has not trained its {name} (yet); `mtl resume RUN` goes on with it, if its stages name it"
        ))),
        Some(other) => Err(UnknownName::new("generator", other, ["gan", "vae"]).into()),
        None if learnt(Stage::Gan) => Ok(Stage::Gan),
        None if learnt(Stage::Vae) => Ok(Stage::Vae),
        None => {
            Err(Error::Config("the run has no trained generator: its stages name neither \"vae\" nor \"gan\"".into()))
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
