//! Samples as a data set, or as one picture.

use std::path::Path;

use super::choice::Chosen;
use super::request::Generated;
use crate::error::{Error, Result};
use crate::eval::generation::images::BATCH;
use crate::eval::pictures::{Tile, tiles, write_grid};

/// Columns of the manifest besides that of the classes.
const IMAGE: &str = "image";
const GENERATED: &str = "generated";
const SEED: &str = "generated_seed";
/// Most columns of a grid with a class per column.
const COLUMNS: usize = 16;

/// Writes samples as a data set: one PNG each, a manifest, the classes of its task (`classes.csv`), and a grid to look at. Read
/// together with the real images, it has the same task, and its images are for training only.
pub(super) fn write(chosen: &Chosen<'_>) -> Result<Generated> {
    let schema = &chosen.run.schema;
    let task = schema.condition.map(|task| schema.tasks[task].name.as_str());
    if let Some(task) = task.filter(|task| [IMAGE, GENERATED, SEED].contains(task)) {
        let problem = format!("a manifest has a column `{task}` of its own: rename the task (data.sources, `rename`)");
        return Err(Error::DataMismatch(format!("task `{task}`: {problem}")));
    }
    let labels = chosen.labels(None)?;
    let mut made = chosen.begin()?;
    let pictures = made.folder.join("images");
    std::fs::create_dir_all(&pictures).map_err(Error::io("cannot create", &pictures))?;
    let manifest = made.folder.join("manifest.csv");
    let failed = |error: csv::Error| Error::io("cannot write", &manifest)(std::io::Error::other(error));
    let mut rows = csv::Writer::from_path(&manifest).map_err(failed)?;
    rows.write_record([IMAGE].into_iter().chain(task).chain([GENERATED, SEED])).map_err(failed)?;
    let seed = chosen.request.seed.to_string();
    let mut all = Vec::new();
    each_batch(chosen, &labels, |tiles, labels| {
        for (tile, label) in tiles.into_iter().zip(labels) {
            let name = format!("{:05}.png", made.images.len());
            tile.write(&pictures.join(&name))?;
            let class = chosen.class_name(*label);
            let image = format!("images/{name}");
            let cell = task.map(|_| class.as_deref().unwrap_or_default());
            rows.write_record([&*image].into_iter().chain(cell).chain(["true", &*seed])).map_err(failed)?;
            made.images.push(pictures.join(name));
            made.classes.push(class);
            all.push(tile);
        }
        Ok(())
    })?;
    rows.flush().map_err(Error::io("cannot write", &manifest))?;
    if let Some(task) = task {
        write_classes(&made.folder.join("classes.csv"), task, chosen.classes)?;
    }
    made.manifest = Some(manifest);
    finish(chosen, made, &all)
}

/// Writes samples as one picture alone.
pub(super) fn write_grid_only(chosen: &Chosen<'_>) -> Result<Generated> {
    let labels = chosen.labels(None)?;
    let mut all = Vec::new();
    each_batch(chosen, &labels, |tiles, _| {
        all.extend(tiles);
        Ok(())
    })?;
    let mut made = chosen.begin()?;
    made.classes = labels.iter().map(|&label| chosen.class_name(label)).collect();
    finish(chosen, made, &all)
}

fn finish(chosen: &Chosen<'_>, mut made: Generated, all: &[Tile]) -> Result<Generated> {
    let classes = chosen.trained_labels().count();
    let square = (all.len() as f64).sqrt().ceil() as usize;
    let columns = if classes > 1 && chosen.class.is_none() { classes.min(COLUMNS) } else { square };
    made.grid = made.folder.join("grid.png");
    write_grid(&made.grid, all, columns)?;
    Ok(made)
}

/// Draws samples of `labels` from the request's seed.
fn each_batch(
    chosen: &Chosen<'_>,
    labels: &[i32],
    mut body: impl FnMut(Vec<Tile>, &[i32]) -> Result<()>,
) -> Result<()> {
    let mut stream = Chosen::stream(chosen.request.seed);
    labels.chunks(BATCH).try_for_each(|labels| {
        let images = chosen.generator.sample(labels, &chosen.request.sampling, &mut stream)?;
        body(tiles(&images)?, labels)
    })
}

/// The classes in the order of the model, so that the manifest's task has all of them however few images there are.
fn write_classes(path: &Path, task: &str, classes: &[String]) -> Result<()> {
    let failed = |error: csv::Error| Error::io("cannot write", path)(std::io::Error::other(error));
    let mut rows = csv::Writer::from_path(path).map_err(failed)?;
    rows.write_record(["task", "class"]).map_err(failed)?;
    classes.iter().try_for_each(|class| rows.write_record([task, class])).map_err(failed)?;
    rows.flush().map_err(Error::io("cannot write", path))
}
