//! The same latents, decoded with another class.

use std::path::PathBuf;

use mtl_registry::UnknownName;
use mtl_tensor::Tensor;

use super::choice::Chosen;
use super::like::invert_all;
use super::request::{Edit, Generated, InversionStep};
use crate::error::{Error, Result};
use crate::eval::pictures::{tiles, write_grid};

/// The key that always stands for the class.
const CLASS: &str = "class";
/// Pairs per row of the picture.
const PAIRS: usize = 4;

/// Writes samples of one class, or of all others in turn, and the same latents with the new class. The samples are those that
/// the seed gives without an edit, of the same classes.
pub(super) fn write_samples(chosen: &Chosen<'_>, edit: &Edit) -> Result<Generated> {
    let new = new_label(chosen, edit)?;
    let labels = chosen.labels(Some(new))?;
    let request = chosen.request;
    let z = chosen.latents(&labels, request.sampling.truncation, &mut Chosen::stream(request.seed))?;
    let (before, made) = (chosen.decode(&z, &labels)?, chosen.begin()?);
    write_pairs(chosen, new, &labels, &z, &before, made)
}

/// Writes the images nearest to given ones, and the same latents with the new class.
pub(super) fn write_like(
    chosen: &Chosen<'_>,
    edit: &Edit,
    images: &[PathBuf],
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Generated> {
    let new = new_label(chosen, edit)?;
    let found = invert_all(chosen, images, progress)?;
    if let Some(same) = found.iter().find(|found| found.label == new) {
        let problem = format!(
            "the model takes {} for `{}` already, so that nothing would change; name its class",
            same.report.image.display(),
            edit.class
        );
        return Err(Error::setting("edit", problem));
    }
    let labels: Vec<i32> = found.iter().map(|found| found.label).collect();
    let all = |part: &dyn Fn(usize) -> Tensor| Tensor::cat(&(0..found.len()).map(part).collect::<Vec<_>>(), 0);
    let (z, before) = (all(&|at| found[at].z.clone())?, all(&|at| found[at].nearest.clone())?);
    let mut made = chosen.begin()?;
    made.inversions = found.into_iter().map(|found| found.report).collect();
    write_pairs(chosen, new, &labels, &z, &before, made)
}

fn new_label(chosen: &Chosen<'_>, edit: &Edit) -> Result<i32> {
    let task = chosen.run.schema.condition.map(|task| chosen.run.schema.tasks[task].name.as_str());
    if edit.key != CLASS && Some(&*edit.key) != task {
        let known = [CLASS].into_iter().chain(task.filter(|task| *task != CLASS));
        return Err(UnknownName::new("key of an edit", &edit.key, known).into());
    }
    let new = chosen.label(&edit.class)?;
    if chosen.class == Some(new) {
        let problem = format!("`{}` is the class before the edit, too: nothing would change", edit.class);
        return Err(Error::setting("edit", problem));
    }
    Ok(new)
}

fn write_pairs(
    chosen: &Chosen<'_>,
    new: i32,
    labels: &[i32],
    z: &Tensor,
    before: &Tensor,
    mut made: Generated,
) -> Result<Generated> {
    let after = tiles(&chosen.decode(z, &vec![new; labels.len()])?)?;
    let mut pairs = Vec::new();
    for (at, (old, new_tile)) in tiles(before)?.into_iter().zip(after).enumerate() {
        let path = |folder: &str| made.folder.join(folder).join(format!("{at:05}.png"));
        let (old_path, new_path) = (path("before"), path("after"));
        old.write(&old_path)?;
        new_tile.write(&new_path)?;
        pairs.extend([old, new_tile]);
        made.before.push(old_path);
        made.images.push(new_path);
        made.classes.push(chosen.class_name(new));
    }
    made.grid = made.folder.join("edit.png");
    write_grid(&made.grid, &pairs, 2 * PAIRS)?;
    Ok(made)
}
