//! Parts of a folder: its subsets, and in each the folder of images and the folder of masks.

use std::path::{Path, PathBuf};

use crate::dataset::Subset;
use crate::error::Error;
use crate::readers::{names, walk};

/// One folder of images and where their masks are.
#[derive(Clone, Debug)]
pub(in crate::readers) struct Part {
    pub images: PathBuf,
    pub masks: Option<PathBuf>,
    pub subset: Option<Subset>,
    /// Images without labels: their folders are no classes.
    pub unlabelled: bool,
}

/// The parts of a data set.
///
/// # Errors
/// Folders that cannot be read; two folders that could both hold the images.
pub(in crate::readers) fn parts(root: &Path) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    collect(root, None, None, &mut parts)?;
    Ok(parts)
}

/// Subsets above `images/`, then images and masks, then subsets below them.
fn collect(folder: &Path, subset: Option<Subset>, masks: Option<PathBuf>, parts: &mut Vec<Part>) -> Result<(), Error> {
    if subset.is_none()
        && let Some(found) = subsets(folder)?
    {
        for SubsetFolder { path, subset, masks } in found {
            match subset {
                Some(subset) => collect(&path, Some(subset), masks, parts)?,
                None => parts.push(Part { images: path, masks: None, subset: Some(Subset::Train), unlabelled: true }),
            }
        }
        return Ok(());
    }
    let (images, inside) = images_and_masks(folder)?;
    let masks = masks.or(inside);
    match subsets(&images)?.filter(|_| subset.is_none()) {
        Some(found) => {
            for SubsetFolder { path, subset, masks: own } in found {
                let of_subset = || masks.as_ref().map_or(Ok(None), |masks| same_subset(masks, &path));
                let unlabelled = subset.is_none();
                let masks = if unlabelled {
                    None
                } else {
                    own.map_or_else(of_subset, |own| Ok(Some(own)))?.or_else(|| masks.clone())
                };
                parts.push(Part { images: path, masks, subset: subset.or(Some(Subset::Train)), unlabelled });
            }
        }
        None => parts.push(Part { images, masks, subset, unlabelled: false }),
    }
    Ok(())
}

/// A folder called like a subset; without a subset it holds images without labels.
struct SubsetFolder {
    path: PathBuf,
    subset: Option<Subset>,
    /// The folder of masks named after it (`trainannot`).
    masks: Option<PathBuf>,
}

/// The subsets, if the folder holds two or more folders and all are called like subsets, their annotations or `unlabeled`.
fn subsets(folder: &Path) -> Result<Option<Vec<SubsetFolder>>, Error> {
    let folders = walk::folders(folder)?;
    let (mut found, mut annotations) = (Vec::new(), Vec::new());
    for path in folders {
        let name = walk::name(&path);
        if let Some(subset) = names::subset_named(&name) {
            found.push(SubsetFolder { path, subset: Some(subset), masks: None });
        } else if names::is_unlabelled(&name) {
            found.push(SubsetFolder { path, subset: None, masks: None });
        } else if let Some(of) = names::annotated(&name).filter(|of| names::subset_named(of).is_some()) {
            annotations.push((of, path));
        } else if walk::any_image(&path) {
            return Ok(None);
        }
    }
    for (of, path) in annotations {
        if let Some(folder) = found.iter_mut().find(|folder| walk::name(&folder.path).eq_ignore_ascii_case(&of)) {
            folder.masks = Some(path);
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
    // A weak name of one kind counts next to any name of the other kind.
    let images = named(names::is_images, !named(names::is_masks, true).is_empty());
    let mut masks = named(names::is_masks, !images.is_empty());
    masks.sort_by_key(|path| !walk::name(path).to_lowercase().starts_with("mask"));
    if let [first, second, ..] = &images[..] {
        let (first, second) = (walk::name(first), walk::name(second));
        let reason =
            format!("both {first}/ and {second}/ are called like folders of images; move one of them elsewhere");
        return Err(Error::Layout { path: folder.to_owned(), reason });
    }
    Ok((images.into_iter().next().unwrap_or_else(|| folder.to_owned()), masks.into_iter().next()))
}

/// The folder below `masks` for the subset that `images` is named after.
fn same_subset(masks: &Path, images: &Path) -> Result<Option<PathBuf>, Error> {
    let wanted = names::subset_named(&walk::name(images));
    Ok(walk::folders(masks)?.into_iter().find(|path| names::subset_named(&walk::name(path)) == wanted))
}
