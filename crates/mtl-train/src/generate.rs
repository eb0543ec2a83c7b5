//! New images from a trained run, as a data set.

use std::path::{Path, PathBuf};

use mtl_registry::UnknownName;
use mtl_rng::Seed;
use serde::Serialize;

use crate::config::Stage;
use crate::error::{Error, Result};
use crate::pictures::{tiles, write_grid};
use crate::trained::Trained;

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
    draw(run, request, device).map_err(|error| error.advise(|| "name another folder with `--out DIR`".into()))
}

fn draw(run: &Path, request: &GenerateRequest, device: Option<&str>) -> Result<Generated> {
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
    let out = new_folder(run, stage, request.out.as_deref())?;
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

/// The folder to write to: nobody's images or manifest are written over.
fn new_folder(run: &Path, stage: Stage, wanted: Option<&Path>) -> Result<PathBuf> {
    let Some(out) = wanted else {
        let numbered = |number: u32| run.join("samples").join(format!("{}-{number:04}", stage.name()));
        let free = (1..10_000).map(numbered).find(|path| !path.exists());
        return free
            .ok_or_else(|| Error::Run { path: run.join("samples"), problem: "holds 9,999 sets of samples".into() });
    };
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        let problem =
            format!("{} is not empty; name a new folder with --out, so that nothing is written over", out.display());
        return Err(Error::Config(problem));
    }
    Ok(out.to_owned())
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
