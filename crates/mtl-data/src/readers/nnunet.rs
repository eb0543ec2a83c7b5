//! nnU-Net (Isensee et al. 2021): `imagesTr/ID_0000.png` with `labelsTr/ID.png`; `imagesTs` and `labelsTs` as the test subset.
//!
//! Task: `mask`, its classes named by `labels` of `dataset.json` if that file is there. The first channel (`_0000`) is the
//! image; further channels are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::draft::{Draft, mask_task};
use super::masks::Meaning;
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::image::palette::Palette;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    root.join("imagesTr").is_dir() && root.join("labelsTr").is_dir() && walk::any_image(&root.join("imagesTr"))
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let (mut rows, mut left) = (Vec::new(), BTreeMap::new());
    let has_test = root.join("imagesTs").is_dir() && root.join("labelsTs").is_dir();
    let subsets: &[(&str, &str, Option<Subset>)] = if has_test {
        &[("imagesTr", "labelsTr", Some(Subset::Train)), ("imagesTs", "labelsTs", Some(Subset::Test))]
    } else {
        &[("imagesTr", "labelsTr", None)]
    };
    for &(images, labels, subset) in subsets {
        let labels = walk::images(&root.join(labels))?;
        let mut labels: BTreeMap<String, PathBuf> = labels.into_iter().map(|path| (walk::stem(&path), path)).collect();
        for image in walk::images(&root.join(images))? {
            let stem = walk::stem(&image);
            let case = match channel_of(&stem) {
                Some((case, 0)) => case,
                Some(_) => {
                    left.insert(image, "a further channel: only channel 0000 is read");
                    continue;
                }
                None => &stem,
            };
            let mask = labels.remove(case).map_or(Label::Missing, |path| Label::Mask(vec![path]));
            rows.push(Row { image, labels: vec![mask], subset, ..Row::default() });
        }
        left.extend(
            labels.into_values().map(|path| (path, "a mask that belongs to no image, or to several of one name")),
        );
        if let Some(subset) = subset {
            reading.guess(format!("{images}/ is the {} subset", subset.name()));
        }
    }
    if !has_test && root.join("imagesTs").is_dir() {
        let test = walk::images(&root.join("imagesTs"))?;
        left.extend(test.into_iter().map(|path| (path, "a test image without a label: labelsTs/ is missing")));
    }
    let json = root.join("dataset.json");
    let meaning = named_values(&json)?.map_or(Meaning::Discover, Meaning::Known);
    let tasks = vec![mask_task("mask")];
    let tables = vec![json];
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest: true, reading }
        .build(options)
}

/// Case and channel of `ID_0001`.
fn channel_of(stem: &str) -> Option<(&str, usize)> {
    let (case, channel) = stem.rsplit_once('_')?;
    (channel.len() == 4).then(|| channel.parse().ok()).flatten().map(|channel| (case, channel))
}

/// The palette in `dataset.json`: `{"labels": {"background": 0, "tumour": 1}}`, or with values as keys (version 1).
fn named_values(path: &Path) -> Result<Option<Palette>, Error> {
    let Some(entries) = values_and_names(path)? else { return Ok(None) };
    let (ignored, named): (Vec<_>, Vec<_>) =
        entries.iter().map(|(value, name)| (*value, name.as_str())).partition(|(_, name)| *name == "ignore");
    if named.len() > 254 {
        let reason = format!("{} labels: at most 254 are learned", named.len());
        return Err(Error::Layout { path: path.to_owned(), reason });
    }
    Ok(Some(ignored.into_iter().fold(Palette::of(&named), |palette, (value, _)| palette.ignoring(value))))
}

/// The entries of `labels`; `None` without the file or with fewer than two.
///
/// # Errors
/// [`Error::Layout`] for entries that are no numbers, and for two names of one number.
pub(crate) fn values_and_names(path: &Path) -> Result<Option<BTreeMap<u16, String>>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    let fail = |reason: String| Error::Layout { path: path.to_owned(), reason };
    let json: Value = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let Some(labels) = json.get("labels").and_then(Value::as_object).filter(|labels| labels.len() > 1) else {
        return Ok(None);
    };
    let mut entries = BTreeMap::new();
    for (key, value) in labels {
        let number = value.as_u64().or_else(|| key.parse().ok()).and_then(|number| u16::try_from(number).ok());
        let Some(number) = number else {
            return Err(fail(format!("labels.{key} is {value}: expected one number per name; regions are not read")));
        };
        let name = value.as_str().unwrap_or(key).to_owned();
        if let Some(other) = entries.insert(number, name.clone()) {
            return Err(fail(format!("labels `{other}` and `{name}` are both {number}")));
        }
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_names() {
        assert_eq!(channel_of("c_000_0000"), Some(("c_000", 0)));
        assert_eq!(channel_of("c_0012"), Some(("c", 12)));
        assert_eq!(channel_of("c_000"), None);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dataset.json");
        let names = |text: &str| {
            std::fs::write(&file, text).unwrap();
            named_values(&file).map(|palette| palette.map(|palette| palette.classes().to_vec()))
        };
        let expected = Some(vec!["background".to_owned(), "tumour".to_owned()]);
        assert_eq!(names(r#"{"labels": {"tumour": 1, "background": 0}}"#).unwrap(), expected);
        assert_eq!(names(r#"{"labels": {"0": "background", "1": "tumour"}}"#).unwrap(), expected);
        assert_eq!(names(r#"{"labels": {"background": 0, "tumour": 1, "ignore": 2}}"#).unwrap(), expected);
        assert!(names(r#"{"labels": {"background": 0, "a": 1, "b": 1}}"#).is_err());
        assert_eq!(names("{}").unwrap(), None);
        assert!(names(r#"{"labels": {"whole": [1, 2], "background": 0}}"#).is_err());
    }
}
