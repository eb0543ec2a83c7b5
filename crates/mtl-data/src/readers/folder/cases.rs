//! One folder per case: `ID/images/x.png` with `ID/masks/*.png`, or `ID/image.png` with `ID/mask.png`.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::readers::{names, walk};

/// Fewer folders may be classes.
const FEWEST: usize = 3;

/// An image and its masks.
pub(super) struct Case {
    pub image: PathBuf,
    pub masks: Vec<PathBuf>,
}

/// The cases in a folder; `None` if it is not laid out this way: at least nine in ten of its folders hold exactly one image and
/// at least one mask.
pub(super) fn cases(folder: &Path) -> Result<Option<Vec<Case>>, Error> {
    if !walk::images(folder)?.is_empty() {
        return Ok(None);
    }
    let folders: Vec<PathBuf> = walk::folders(folder)?;
    if folders.len() < FEWEST {
        return Ok(None);
    }
    let (mut cases, mut used) = (Vec::new(), 0);
    for folder in folders {
        let files = walk::images_below(&folder)?;
        used += usize::from(!files.is_empty());
        let (masks, mut images): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|path| is_mask(path, &folder));
        match (images.pop(), images.is_empty(), masks.is_empty()) {
            (Some(image), true, false) => cases.push(Case { image, masks }),
            _ if 10 * (used - cases.len()) > used.max(10) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(cases).filter(|cases| !cases.is_empty() && 10 * cases.len() >= 9 * used))
}

/// By the folder it lies in, or by its own name.
fn is_mask(path: &Path, case: &Path) -> bool {
    let inside = path.strip_prefix(case).ok().and_then(Path::parent).into_iter().flat_map(Path::components);
    let mut folders = inside.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let stem = walk::stem(path);
    folders.any(|name| names::is_masks(&name, true))
        || names::is_masks(&stem, true)
        || names::image_of_mask(&stem).is_some()
}
