//! Parts of a folder: its subsets, and in each the folder of images and the folder of masks.

use std::path::{Path, PathBuf};

use super::looks::look_like_masks;
use crate::dataset::Subset;
use crate::error::Error;
use crate::readers::subsets::{self, SubsetFolder};
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

    /// Whether its folders may be those of one image each.
    pub(super) fn may_hold_cases(&self) -> bool {
        !self.unlabelled && self.masks.is_none() && self.class.is_none()
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
    let folder = &if at.subset.is_some() { entered(&at.images)? } else { at.images.clone() };
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

/// The parts of a folder whose folders are subsets.
fn subsets(folder: &Path) -> Result<Option<Vec<Part>>, Error> {
    let part = |found: SubsetFolder| Part {
        subset: Some(found.subset),
        unlabelled: found.unlabelled,
        masks: found.masks,
        ..Part::new(found.path)
    };
    Ok(subsets::subsets(folder)?.map(|found| found.into_iter().map(part).collect()))
}

/// Steps into the only folder of a subset's folder that has its name, as archives often hold them: `seg_train/seg_train/*`.
fn entered(folder: &Path) -> Result<PathBuf, Error> {
    let inside = folder.join(walk::name(folder));
    let only = walk::folders(folder)?.len() == 1 && inside.is_dir() && walk::images(folder)?.is_empty();
    Ok(if only { inside } else { folder.to_owned() })
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
    let folders = walk::folders(masks)?;
    let Some(found) = folders.iter().find(|path| subsets::same(&walk::name(path), &walk::name(images))) else {
        let is_subset = |path: &PathBuf| subsets::same(&walk::name(path), &walk::name(path));
        return Ok((!folders.iter().any(is_subset)).then(|| masks.to_owned()));
    };
    Ok(Some(found.clone()))
}
