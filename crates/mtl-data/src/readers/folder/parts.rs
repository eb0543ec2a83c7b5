//! Parts of a folder: its subsets, and in each the folder of images and the folder of masks.

use std::path::{Path, PathBuf};

use super::pairs::look_like_masks;
use crate::dataset::Subset;
use crate::error::Error;
use crate::readers::{names, walk};

/// One folder of images and where their masks are.
#[derive(Clone, Debug)]
pub(in crate::readers) struct Part {
    pub images: PathBuf,
    pub masks: Option<PathBuf>,
    pub subset: Option<Subset>,
    /// The class folder that the part lies in.
    pub class: Option<String>,
    /// Images without labels: their folders are no classes.
    pub unlabelled: bool,
}

impl Part {
    fn new(images: PathBuf) -> Self {
        Self { images, masks: None, subset: None, class: None, unlabelled: false }
    }
}

/// The parts of a data set.
///
/// # Errors
/// Folders that cannot be read; two folders that could both hold the images.
pub(in crate::readers) fn parts(root: &Path) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    collect(&Part::new(root.to_owned()), &mut parts)?;
    Ok(parts)
}

/// Subsets above `images/`, then images and masks, then subsets below them. `at.images` is the folder to look into.
fn collect(at: &Part, parts: &mut Vec<Part>) -> Result<(), Error> {
    let folder = &at.images;
    if at.subset.is_none()
        && let Some(found) = subsets(folder)?
    {
        for part in found {
            let part = Part { class: at.class.clone(), masks: part.masks.or_else(|| at.masks.clone()), ..part };
            if part.unlabelled { parts.push(part) } else { collect(&part, parts)? }
        }
        return Ok(());
    }
    let (images, inside) = images_and_masks(folder)?;
    let masks = at.masks.clone().or(inside);
    match subsets(&images)?.filter(|_| at.subset.is_none()) {
        Some(found) => {
            for part in found {
                let own = match (&part.masks, &masks) {
                    (Some(own), _) => Some(own.clone()),
                    (None, Some(masks)) => of_subset(masks, &part.images)?,
                    (None, None) => None,
                };
                parts.push(Part { masks: own.filter(|_| !part.unlabelled), class: at.class.clone(), ..part });
            }
        }
        None => parts.push(Part { images, masks, ..at.clone() }),
    }
    Ok(())
}

/// The parts of a class folder that holds folders of images and masks, or subsets; `None` if it holds images only.
///
/// # Errors
/// As [`parts`].
pub(super) fn of_class(folder: &Path, part: &Part) -> Result<Option<Vec<Part>>, Error> {
    let has_subsets = part.subset.is_none() && subsets(folder)?.is_some();
    if !has_subsets && images_and_masks(folder)?.1.is_none() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    let class = Some(walk::name(folder));
    collect(&Part { class, subset: part.subset, ..Part::new(folder.to_owned()) }, &mut parts)?;
    Ok(Some(parts))
}

/// The subsets, if the folder holds two or more folders and all are called like subsets, their annotations or `unlabeled`.
fn subsets(folder: &Path) -> Result<Option<Vec<Part>>, Error> {
    let folders = walk::folders(folder)?;
    let all: Vec<String> = folders.iter().map(|path| walk::name(path)).collect();
    let eval_is_test = names::eval_is_test(all.iter().map(String::as_str));
    let (mut found, mut annotations) = (Vec::new(), Vec::new());
    for (path, name) in folders.into_iter().zip(&all) {
        if let Some(subset) = names::subset_named(name) {
            let subset = if eval_is_test && names::is_eval(name) { Subset::Test } else { subset };
            found.push(Part { subset: Some(subset), ..Part::new(path) });
        } else if names::is_unlabelled(name) {
            found.push(Part { subset: Some(Subset::Train), unlabelled: true, ..Part::new(path) });
        } else if let Some(of) = names::annotated(name).filter(|of| names::subset_named(of).is_some()) {
            annotations.push((of, path));
        } else if walk::any_image(&path) {
            return Ok(None);
        }
    }
    for (of, path) in annotations {
        if let Some(part) = found.iter_mut().find(|part| names::plain(&walk::name(&part.images)) == of) {
            part.masks = Some(path);
        }
    }
    Ok(Some(found).filter(|found| found.len() > 1))
}

/// The folder that holds images and the one that holds masks, by their names: the folder itself and none without such names.
fn images_and_masks(folder: &Path) -> Result<(PathBuf, Option<PathBuf>), Error> {
    let folders: Vec<PathBuf> = walk::folders(folder)?.into_iter().filter(|path| walk::any_image(path)).collect();
    let named = |is: fn(&str, bool) -> bool, beside: bool| {
        folders.iter().filter(|path| is(&walk::name(path), beside)).cloned().collect::<Vec<_>>()
    };
    let mut images = named(names::is_images, false);
    let mut masks = named(names::is_masks, false);
    // Weak names may be classes: they count next to a strong name of the other kind, or in a pair that looks like one.
    match (images.is_empty(), masks.is_empty()) {
        (true, false) => images = named(names::is_images, true),
        (false, true) => masks = named(names::is_masks, true),
        (true, true) if folders.len() == 2 => {
            (images, masks) = (named(names::is_images, true), named(names::is_masks, true));
            if images.is_empty() || masks.is_empty() || !masks.iter().all(|masks| holds_masks(masks)) {
                return Ok((folder.to_owned(), None));
            }
        }
        _ => {}
    }
    // Without a folder of images, `mask` may be the class of faces with one.
    if images.is_empty() && !masks.iter().all(|masks| holds_masks(masks)) {
        masks.clear();
    }
    masks.sort_by_key(|path| !walk::name(path).to_lowercase().starts_with("mask"));
    if let [first, second, ..] = &images[..] {
        let (first, second) = (walk::name(first), walk::name(second));
        let reason =
            format!("both {first}/ and {second}/ are called like folders of images; move one of them elsewhere");
        return Err(Error::Layout { path: folder.to_owned(), reason });
    }
    Ok((images.into_iter().next().unwrap_or_else(|| folder.to_owned()), masks.into_iter().next()))
}

fn holds_masks(folder: &Path) -> bool {
    let files = walk::images_below(folder).unwrap_or_default();
    look_like_masks(&files.iter().collect::<Vec<_>>())
}

/// The masks of the subset that `images` is named after: a folder below `masks`; all of `masks` if it has no subset folders.
fn of_subset(masks: &Path, images: &Path) -> Result<Option<PathBuf>, Error> {
    let wanted = names::subset_named(&walk::name(images));
    let mut folders = walk::folders(masks)?.into_iter().filter(|path| names::subset_named(&walk::name(path)).is_some());
    let all: Vec<PathBuf> = folders.by_ref().collect();
    if all.is_empty() {
        return Ok(Some(masks.to_owned()));
    }
    Ok(all.into_iter().find(|path| names::subset_named(&walk::name(path)) == wanted))
}
