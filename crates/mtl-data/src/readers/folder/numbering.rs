//! Pairs of images and masks whose names differ by a prefix or by the width of a number: `img_1` and `mask_001`.

use std::collections::{BTreeMap, BTreeSet};

use crate::readers::names;

/// The mask of each image, and the prefixes that were taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The place of the mask of each image, in the order of the images.
    pub masks: Vec<usize>,
    image_prefix: String,
    mask_prefix: String,
}

impl Numbering {
    /// Pairs all images with all masks, one to one, by their paths without extension. The prefix of letters that all images
    /// have is taken off, and that of all masks; then the rest must be equal, numbers by their value.
    ///
    /// # Errors
    /// The files that have no partner, or several.
    pub(super) fn of(images: &[&str], masks: &[&str]) -> Result<Self, String> {
        let bare: Vec<&str> = masks.iter().map(|mask| names::image_of_mask(mask).unwrap_or(mask)).collect();
        let different = bare.iter().collect::<BTreeSet<_>>().len() == masks.len();
        Self::between(images, masks).or_else(|reason| match different {
            true => Self::between(images, &bare).map_err(|_| reason),
            false => Err(reason),
        })
    }

    fn between(images: &[&str], masks: &[&str]) -> Result<Self, String> {
        let (image_prefix, mask_prefix) = (prefix(images), prefix(masks));
        let image_of = keys(images, &image_prefix)?;
        let mask_of = keys(masks, &mask_prefix)?;
        let alone = |these: &BTreeMap<String, usize>, others: &BTreeMap<String, usize>, names: &[&str]| {
            let alone: Vec<usize> =
                these.iter().filter(|(key, _)| !others.contains_key(*key)).map(|(_, at)| *at).collect();
            alone.first().map(|&first| (alone.len(), names[first].to_owned()))
        };
        let of_images = alone(&image_of, &mask_of, images).map(|(count, first)| match count {
            1 => format!("the image {first} has no mask of its number"),
            _ => format!("{count} images have no mask of their number, such as {first}"),
        });
        let of_masks = alone(&mask_of, &image_of, masks).map(|(count, first)| match count {
            1 => format!("the mask {first} has no image of its number"),
            _ => format!("{count} masks have no image of their number, such as {first}"),
        });
        let faults: Vec<String> = of_images.into_iter().chain(of_masks).collect();
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let by_image: BTreeMap<usize, usize> = image_of.iter().map(|(key, at)| (*at, mask_of[key])).collect();
        Ok(Self { masks: by_image.into_values().collect(), image_prefix, mask_prefix })
    }

    /// How the names were compared: `without img_ and mask_, numbers by their value`.
    pub(super) fn words(&self) -> String {
        let prefixes: Vec<String> = [&self.image_prefix, &self.mask_prefix]
            .iter()
            .filter(|one| !one.is_empty())
            .map(|one| format!("`{one}`"))
            .collect();
        match prefixes.is_empty() {
            true => "numbers by their value".to_owned(),
            false => format!("without {}, numbers by their value", prefixes.join(" and ")),
        }
    }
}

/// The longest beginning without digits that all names have, up to a separator or a digit.
fn prefix(all: &[&str]) -> String {
    let names: Vec<Vec<char>> = all.iter().map(|path| last(path).chars().collect()).collect();
    let Some(first) = names.first() else { return String::new() };
    let is_common = |at: &usize| names.iter().all(|name| name.get(*at) == first.get(*at));
    let common = (0..first.len()).take_while(|at| is_common(at) && !first[*at].is_numeric()).count();
    let ends = |&at: &usize| {
        at == 0
            || !first[at - 1].is_alphanumeric()
            || names.iter().all(|name| name.get(at).is_some_and(|c| c.is_numeric()))
    };
    let end = (0..=common).rev().find(|at| ends(at) && names.iter().all(|name| name.len() > *at)).unwrap_or(0);
    first[..end].iter().collect()
}

/// The place of each name by its folder and the rest of it.
fn keys(all: &[&str], prefix: &str) -> Result<BTreeMap<String, usize>, String> {
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    for (at, path) in all.iter().enumerate() {
        let folder = &path[..path.len() - last(path).len()];
        let rest = last(path).strip_prefix(prefix).unwrap_or(last(path));
        if let Some(other) = keys.insert(format!("{folder}{}", by_value(rest)), at) {
            return Err(format!("{} and {path} have the same number", all[other]));
        }
    }
    Ok(keys)
}

/// The part of a path behind its folders.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Numbers without the zeros before them.
fn by_value(text: &str) -> String {
    let mut written = String::new();
    let mut in_number = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let more = rest.peek().is_some_and(char::is_ascii_digit);
        if !(c == '0' && !in_number && more) {
            written.extend(c.to_lowercase());
            in_number = c.is_ascii_digit();
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(images: &[&str], masks: &[&str]) -> Result<Vec<usize>, String> {
        Numbering::of(images, masks).map(|numbering| numbering.masks)
    }

    #[test]
    fn prefixes_and_zeros_are_taken_off() {
        assert_eq!(prefix(&["img_10", "img_11"]), "img_");
        assert_eq!(prefix(&["img10", "img2"]), "img");
        assert_eq!(prefix(&["image_car", "image_cat"]), "image_");
        assert_eq!(prefix(&["cat", "car"]), "");
        assert_eq!(prefix(&["1", "12"]), "");
        assert_eq!((by_value("007_0"), by_value("100"), by_value("00")), ("7_0".into(), "100".into(), "0".into()));
        assert_eq!(masks(&["img_0", "img_10", "img_2"], &["mask_0", "mask_10", "mask_2"]), Ok(vec![0, 1, 2]));
        assert_eq!(masks(&["1", "10", "2"], &["0001", "0002", "0010"]), Ok(vec![0, 2, 1]));
        assert_eq!(masks(&["a/image1", "b/image1"], &["a/gt1", "b/gt1"]), Ok(vec![0, 1]));
        assert_eq!(masks(&["img_0", "img_1"], &["lbl_0_mask", "lbl_1_mask"]), Ok(vec![0, 1]));
    }

    #[test]
    fn names_that_are_not_one_to_one_are_refused() {
        let words = masks(&["img_0", "img_1"], &["mask_1", "mask_2"]).unwrap_err();
        assert_eq!(words, "the image img_0 has no mask of its number; the mask mask_2 has no image of its number");
        assert_eq!(masks(&["1", "01"], &["1", "2"]).unwrap_err(), "1 and 01 have the same number");
        assert!(masks(&["img_0", "img_1", "img_2"], &["mask_0", "mask_1"]).unwrap_err().contains("img_2"));
    }
}
