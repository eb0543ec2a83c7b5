//! Which mask belongs to which image: masks in a folder of their own, or next to the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::looks::look_like_masks;
use super::numbering::{Numbering, last};
use crate::error::Error;
use crate::readers::{names, walk};
use crate::reading::Reading;

/// Mask files in a folder of their own.
pub(in crate::readers) struct Masks {
    files: Vec<PathBuf>,
    taken: Vec<bool>,
    /// By their path below the folder without extension; by the same without a suffix such as `_mask`; by the last part of both.
    by_path: BTreeMap<String, Vec<usize>>,
    by_image: BTreeMap<String, Vec<usize>>,
    by_stem: BTreeMap<String, Vec<usize>>,
}

impl Masks {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        Ok(Self::of(walk::images_below(folder)?, folder, |_| None))
    }

    /// `files`, by their paths below `folder`; `bare`: the path of the image of a mask, where that is known.
    pub(in crate::readers) fn of(files: Vec<PathBuf>, folder: &Path, bare: impl Fn(&str) -> Option<String>) -> Self {
        let (mut by_path, mut by_image, mut by_stem) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let add =
            |map: &mut BTreeMap<String, Vec<usize>>, key: &str, at| map.entry(key.to_owned()).or_default().push(at);
        for (at, path) in files.iter().enumerate() {
            let key = walk::relative(&path.with_extension(""), folder);
            let bare = bare(&key);
            let image = bare.as_deref().or_else(|| names::image_of_mask(&key)).unwrap_or(&key);
            add(&mut by_path, &key, at);
            add(&mut by_image, image, at);
            add(&mut by_stem, last(image), at);
            if last(&key) != last(image) {
                add(&mut by_stem, last(&key), at);
            }
        }
        Self { taken: vec![false; files.len()], files, by_path, by_image, by_stem }
    }

    /// The masks of the image with this path below its folder, where no other image has the path; by the stem alone where no
    /// other image has the stem and one folder holds the masks of it. A mask of exactly the image's name comes first.
    pub(in crate::readers) fn take(&mut self, path: &str, path_is_unique: bool, stem_is_unique: bool) -> Vec<PathBuf> {
        let bare = names::image_stem(path);
        let by_path = [(&self.by_path, path), (&self.by_image, path), (&self.by_path, bare), (&self.by_image, bare)];
        let mut found = by_path.iter().filter(|_| path_is_unique).find_map(|(map, key)| self.free(map.get(*key)));
        if found.is_none() && stem_is_unique {
            let by_stem = [last(path), last(bare)].into_iter().find_map(|stem| self.free(self.by_stem.get(stem)));
            let folder = |at: &usize| self.files[*at].parent();
            found = by_stem.filter(|found| found.iter().all(|at| folder(at) == found.first().and_then(folder)));
        }
        let found = found.unwrap_or_default();
        found.iter().for_each(|&at| self.taken[at] = true);
        found.into_iter().map(|at| self.files[at].clone()).collect()
    }

    /// Pairs all masks with all images by their numbers, where some masks have the name of no image. `images`: paths of all images
    /// below their folder, without extension. How and an example; `None` where names are enough.
    ///
    /// # Errors
    /// The files that do not pair one to one.
    pub(super) fn renumber(&mut self, images: &BTreeSet<String>) -> Result<Option<String>, String> {
        let stems: BTreeSet<&str> =
            images.iter().flat_map(|path| [last(path), last(names::image_stem(path))]).collect();
        let is_named = |mask: &str| stems.contains(last(mask));
        let all = self.by_path.keys();
        if all.clone().all(|key| is_named(key) || names::image_of_mask(key).is_some_and(is_named)) {
            return Ok(None);
        }
        if self.by_path.len() < self.files.len() {
            return Err("several masks have one name".into());
        }
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        let masks: Vec<&str> = all.map(String::as_str).collect();
        let numbering = Numbering::of(&images, &masks)?;
        let pairs: Vec<(&str, &str)> =
            images.iter().zip(&numbering.masks).map(|(image, &at)| (*image, masks[at])).collect();
        // A pair that names and numbers see differently is in doubt.
        let differs = |(image, mask): &&(&str, &str)| {
            let named = self.by_path.get_key_value(*image).map(|(key, _)| key.as_str());
            named.is_some_and(|named| named != *mask)
        };
        if let Some((image, mask)) = pairs.iter().find(differs) {
            return Err(format!("the image {image} has the number of the mask {mask}, and the name of another"));
        }
        let example =
            pairs.iter().find(|(image, mask)| image != mask).map(|(image, mask)| format!("{mask} with {image}"));
        let by_path = pairs.iter().map(|(image, mask)| ((*image).to_owned(), self.by_path[*mask].clone())).collect();
        self.by_path = by_path;
        Ok(example.map(|example| format!("{}, such as {example}", numbering.words())))
    }

    fn free(&self, found: Option<&Vec<usize>>) -> Option<Vec<usize>> {
        let free: Vec<usize> = found?.iter().copied().filter(|&at| !self.taken[at]).collect();
        Some(free).filter(|free| !free.is_empty())
    }

    /// Masks that no image has taken.
    pub(in crate::readers) fn left(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(path, _)| path)
    }
}

/// What the folders in a folder of masks stand for.
pub(super) enum Inside {
    /// Nothing, or the folders of the images.
    Plain,
    /// One folder of binary masks per class.
    PerClass(Vec<String>),
    /// One folder of masks per image, with the image's name: they are united.
    PerImage,
    /// One folder per image with a binary mask per class, named after the class.
    PerClassOfImage(Vec<String>),
}

impl Masks {
    /// `images`: paths of all images below their folder, without extension.
    pub(super) fn inside(&self, images: &BTreeSet<String>) -> Inside {
        let split: Option<Vec<(&str, &str)>> = self.by_path.keys().map(|key| key.split_once('/')).collect();
        let Some(split) = split else { return Inside::Plain };
        let folders: BTreeSet<&str> = split.iter().map(|(folder, _)| *folder).collect();
        if folders.iter().all(|folder| images.contains(*folder)) {
            let files: BTreeSet<&str> = split.iter().map(|(_, file)| *file).collect();
            let bare =
                |file: &&str| file.trim_end_matches(|c: char| c.is_ascii_digit() || "_- .".contains(c)).to_owned();
            let different: BTreeSet<String> = files.iter().map(bare).collect();
            let named = different.len() == files.len() && !different.contains("");
            // The names of classes recur from image to image; those of instances number them.
            let recur = 2 * split.len() >= files.len() * folders.len();
            return match files.len() > 1 && folders.len() > 2 && named && recur {
                true => Inside::PerClassOfImage(names::in_order(files.into_iter().map(str::to_owned))),
                false => Inside::PerImage,
            };
        }
        let of_images =
            |folder: &&str| images.iter().any(|image| image.split_once('/').is_some_and(|(top, _)| top == *folder));
        if folders.len() < 2 || folders.iter().any(|folder| of_images(folder) || names::subset_named(folder).is_some())
        {
            return Inside::Plain;
        }
        let has_image = |rest: &str| {
            images.contains(rest) || names::image_of_mask(rest).is_some_and(|image| images.contains(image))
        };
        let matched = split.iter().filter(|(_, rest)| has_image(rest)).count();
        if 2 * matched < split.len() {
            return Inside::Plain;
        }
        Inside::PerClass(names::in_order(folders.into_iter().map(str::to_owned)))
    }

    /// The masks of an image, one per class: class and file; in one folder per class (`class_first`) or per image.
    pub(super) fn take_layers(&mut self, path: &str, classes: &[String], class_first: bool) -> Vec<(String, PathBuf)> {
        let mut layers = Vec::new();
        for class in classes {
            let key = if class_first { format!("{class}/{path}") } else { format!("{path}/{class}") };
            let found = self.free(self.by_path.get(&key)).or_else(|| self.free(self.by_image.get(&key)));
            for at in found.unwrap_or_default() {
                self.taken[at] = true;
                layers.push((class.clone(), self.files[at].clone()));
            }
        }
        layers
    }

    /// All masks in the folder with the name of the image.
    pub(super) fn take_folder(&mut self, path: &str) -> Vec<PathBuf> {
        let start = format!("{path}/");
        let inside = self.by_path.range(start.clone()..).take_while(|(key, _)| key.starts_with(&start));
        let found: Vec<usize> = inside.flat_map(|(_, at)| at.iter().copied()).collect();
        found.iter().for_each(|&at| self.taken[at] = true);
        found.into_iter().map(|at| self.files[at].clone()).collect()
    }
}

/// Masks next to their images.
#[derive(Default)]
pub(super) struct Beside {
    /// By image; several are united.
    pub of: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// Masks that belong to no image.
    pub left: Vec<PathBuf>,
    /// Whether masks were recognised by their values, not by their names.
    pub by_values: bool,
    /// Whether masks were paired by numbers.
    pub by_numbers: bool,
}

impl Beside {
    /// Takes the masks out of `images`, the image files of some folders. Files that are named like masks and do not look like
    /// them stay images, with a warning.
    pub(super) fn take(images: &mut Vec<PathBuf>, reading: &mut Reading) -> Self {
        let mut beside = Self::default();
        let key = |path: &Path, stem: &str| (path.parent().map(Path::to_owned), stem.to_lowercase());
        let mut by_stem: BTreeMap<_, PathBuf> = BTreeMap::new();
        for path in images.iter() {
            let stem = walk::stem(path);
            by_stem.entry(key(path, names::image_stem(&stem))).or_insert_with(|| path.clone());
        }
        by_stem.extend(images.iter().map(|path| (key(path, &walk::stem(path)), path.clone())));
        let image_of = |path: &Path| by_stem.get(&key(path, names::image_of_mask(&walk::stem(path))?)).cloned();
        let pairs: Vec<&PathBuf> = images.iter().filter(|path| image_of(path).is_some()).collect();
        if pairs.is_empty() {
            if !beside.numbered(images, reading) {
                beside.same_stem(images, reading);
            }
            return beside;
        }
        // A few pairs among many images may be an accident of names.
        if 4 * pairs.len() < images.len() && !look_like_masks(&pairs) {
            reading.warn(format!(
                "{} of {} files are named like masks of other files, such as {}, but hold many values: they are read as images",
                pairs.len(),
                images.len(),
                pairs[0].display()
            ));
            return beside;
        }
        images.retain(|path| {
            if names::image_of_mask(&walk::stem(path)).is_none() {
                return true;
            }
            match image_of(path) {
                Some(image) => beside.of.entry(image).or_default().push(path.clone()),
                None => beside.left.push(path.clone()),
            }
            false
        });
        beside
    }

    /// Masks that a word and a number name (`mask_1` beside `img_1`), if they hold the values of masks. In each folder they pair
    /// one to one with all images, or belong to none.
    fn numbered(&mut self, images: &mut Vec<PathBuf>, reading: &mut Reading) -> bool {
        let (masks, others): (Vec<PathBuf>, Vec<PathBuf>) =
            images.iter().cloned().partition(|path| names::is_numbered_mask(&walk::stem(path)));
        if masks.is_empty() || others.is_empty() || !look_like_masks(&masks.iter().collect::<Vec<_>>()) {
            return false;
        }
        let mut folders: BTreeMap<&Path, [Vec<&PathBuf>; 2]> = BTreeMap::new();
        for (at, paths) in [&others, &masks].into_iter().enumerate() {
            let below = paths.iter().filter_map(|path| Some((path.parent()?, path)));
            below.for_each(|(folder, path)| folders.entry(folder).or_default()[at].push(path));
        }
        let mut reasons = Vec::new();
        for [images, masks] in folders.into_values().filter(|[_, masks]| !masks.is_empty()) {
            let stems = |paths: &[&PathBuf]| paths.iter().map(|path| walk::stem(path)).collect::<Vec<_>>();
            let (image_stems, mask_stems) = (stems(&images), stems(&masks));
            let image_stems: Vec<&str> = image_stems.iter().map(String::as_str).collect();
            let mask_stems: Vec<&str> = mask_stems.iter().map(String::as_str).collect();
            match Numbering::of(&image_stems, &mask_stems) {
                Ok(numbering) => {
                    let pairs = images
                        .iter()
                        .zip(&numbering.masks)
                        .map(|(image, &at)| ((*image).clone(), vec![masks[at].clone()]));
                    self.of.extend(pairs);
                }
                Err(reason) => {
                    self.left.extend(masks.iter().map(|path| (*path).clone()));
                    reasons.push(reason);
                }
            }
        }
        if let Some(first) = reasons.first() {
            reading.warn(format!("masks beside images are not paired by their numbers: {first}"));
        }
        self.by_numbers = true;
        *images = others;
        true
    }

    /// Masks with the stem of their image and another extension (`x.jpg`, `x.png`), if most images have one and the first few
    /// hold the values of a mask.
    fn same_stem(&mut self, images: &mut Vec<PathBuf>, reading: &mut Reading) {
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
        let masks: BTreeSet<&PathBuf> = pairs.iter().map(|(_, mask)| mask).collect();
        if pairs.is_empty() || !look_like_masks(&masks.iter().copied().collect::<Vec<_>>()) {
            return;
        }
        if 10 * pairs.len() < 9 * photographs.len() {
            reading.warn(format!(
                "{} of {} photographs have a file of the same name in another format that looks like a mask, such as {}: they are \
                 read as images; put masks into a folder masks/",
                pairs.len(),
                photographs.len(),
                pairs[0].1.display()
            ));
            return;
        }
        images.retain(|path| !masks.contains(path));
        self.by_values = true;
        self.of = pairs.into_iter().map(|(image, mask)| (image, vec![mask])).collect();
    }
}
