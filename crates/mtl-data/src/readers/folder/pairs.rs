//! Which mask belongs to which image: masks in a folder of their own, or next to the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::image::{decode, mask};
use crate::readers::{names, walk};

/// Values of a mask whose name says nothing; a photograph has more.
const MASK_VALUES: usize = 32;
/// Files that are looked into where names say nothing.
const LOOKED_INTO: usize = 4;

/// Mask files in a folder of their own, by their path without extension, and by stem.
pub(super) struct Masks {
    by_path: BTreeMap<String, Vec<PathBuf>>,
    /// `None` where two folders have the stem.
    by_stem: BTreeMap<String, Option<String>>,
}

impl Masks {
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, Error> {
        let mut masks = Self { by_path: BTreeMap::new(), by_stem: BTreeMap::new() };
        let Some(folder) = folder else { return Ok(masks) };
        for path in walk::images_below(folder)? {
            let key = walk::relative(&path.with_extension(""), folder);
            let key = names::image_of_mask(&key).unwrap_or(&key).to_owned();
            let stem = last(&key).to_owned();
            let known = masks.by_stem.entry(stem).or_insert_with(|| Some(key.clone()));
            if known.as_ref() != Some(&key) {
                *known = None;
            }
            masks.by_path.entry(key).or_default().push(path);
        }
        Ok(masks)
    }

    /// The masks of the image with this path below its folder; by the bare stem only where one image has it.
    pub(super) fn take(&mut self, path: &str, stem_is_unique: bool) -> Vec<PathBuf> {
        let bare = names::image_stem(path);
        for path in [path, bare] {
            if let Some(found) = self.by_path.remove(path) {
                return found;
            }
            let stem = self.by_stem.get(last(path)).cloned().flatten().filter(|_| stem_is_unique);
            if let Some(found) = stem.and_then(|key| self.by_path.remove(&key)) {
                return found;
            }
        }
        Vec::new()
    }

    /// Masks that no image has taken.
    pub(super) fn left(&self) -> impl Iterator<Item = &PathBuf> {
        self.by_path.values().flatten()
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Masks next to their images.
#[derive(Default)]
pub(super) struct Beside {
    /// By image; several are united.
    pub of: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// Masks that belong to no image.
    pub left: Vec<PathBuf>,
    /// Whether masks were told from images by their values, not by their names.
    pub by_values: bool,
}

impl Beside {
    /// Takes the masks out of `images`, the image files of some folders.
    pub(super) fn take(images: &mut Vec<PathBuf>) -> Self {
        let mut beside = Self::default();
        let key = |path: &Path, stem: &str| (path.parent().map(Path::to_owned), stem.to_lowercase());
        let by_stem: BTreeMap<_, PathBuf> =
            images.iter().map(|path| (key(path, &walk::stem(path)), path.clone())).collect();
        let stem_of = |path: &Path| names::image_of_mask(&walk::stem(path)).map(str::to_owned);
        let image_of = |path: &Path| {
            let stem = stem_of(path)?;
            let image = by_stem.get(&key(path, &stem)).or_else(|| by_stem.get(&key(path, &format!("{stem}_image"))))?;
            Some(image.clone())
        };
        if images.iter().any(|path| image_of(path).is_some()) {
            images.retain(|path| {
                let Some(_) = stem_of(path) else { return true };
                match image_of(path) {
                    Some(image) => beside.of.entry(image).or_default().push(path.clone()),
                    None => beside.left.push(path.clone()),
                }
                false
            });
            return beside;
        }
        beside.same_stem(images);
        beside
    }

    /// Masks with the stem of their image and another extension (`x.jpg`, `x.png`), if most images have one and the first few
    /// hold the values of a mask.
    fn same_stem(&mut self, images: &mut Vec<PathBuf>) {
        let is = |path: &Path, ends: &[&str]| {
            path.extension().is_some_and(|end| ends.iter().any(|known| end.eq_ignore_ascii_case(known)))
        };
        let photographs: BTreeMap<PathBuf, PathBuf> = images
            .iter()
            .filter(|path| is(path, &["jpg", "jpeg", "jfif"]))
            .map(|path| (path.with_extension(""), path.clone()))
            .collect();
        let pairs: Vec<(PathBuf, PathBuf)> = images
            .iter()
            .filter(|path| is(path, &["png", "bmp", "gif", "tif", "tiff"]))
            .filter_map(|path| Some((photographs.get(&path.with_extension(""))?.clone(), path.clone())))
            .collect();
        if pairs.is_empty() || 10 * pairs.len() < 9 * photographs.len() {
            return;
        }
        if !pairs.iter().step_by(pairs.len().div_ceil(LOOKED_INTO)).all(|(_, path)| looks_like_mask(path)) {
            return;
        }
        let masks: BTreeSet<&PathBuf> = pairs.iter().map(|(_, mask)| mask).collect();
        images.retain(|path| !masks.contains(path));
        self.by_values = true;
        self.of = pairs.into_iter().map(|(image, mask)| (image, vec![mask])).collect();
    }
}

/// Whether a file holds few different values.
fn looks_like_mask(path: &Path) -> bool {
    let Ok(bytes) = decode::read_file(path) else { return false };
    mask::codes(&bytes, false).is_ok_and(|(codes, _)| codes.into_iter().collect::<BTreeSet<_>>().len() <= MASK_VALUES)
}
