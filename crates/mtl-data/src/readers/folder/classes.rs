//! Classes from the names of folders: spellings that differ in case, and folders that are groups of images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use super::Found;
use super::cases::MOST_CLASSES;
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;

/// How often each name occurs.
pub(super) fn counts<'a>(names: impl Iterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.clone()).or_default() += 1);
    counts
}

/// Classes whose names differ in case, spaces or Unicode form only are one class if they are in different subsets, and a mistake in
/// one folder.
pub(super) fn merge_cases(found: &mut [Found], root: &Path, reading: &mut Reading) -> Result<(), Error> {
    let mut spellings: BTreeMap<String, BTreeMap<String, BTreeSet<Option<Subset>>>> = BTreeMap::new();
    for row in found.iter() {
        let Some(class) = &row.class else { continue };
        let known = spellings.entry(class.trim().nfc().collect::<String>().to_lowercase()).or_default();
        known.entry(class.clone()).or_default().insert(row.subset);
    }
    for known in spellings.into_values().filter(|known| known.len() > 1) {
        let names: Vec<&String> = known.keys().collect();
        let forms: BTreeSet<String> = names.iter().map(|name| name.nfc().collect()).collect();
        let how = match () {
            () if forms.len() == 1 => "the Unicode form of their letters",
            () if names.iter().any(|name| name.trim() != name.as_str()) => "case or spaces",
            () => "case",
        };
        let all: usize = known.values().map(BTreeSet::len).sum();
        let different: BTreeSet<&Option<Subset>> = known.values().flatten().collect();
        let shown = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if different.len() < all {
            let reason =
                format!("the class folders {shown} differ in {how} only; merge them, or give them different names");
            return Err(Error::Layout { path: root.to_owned(), reason });
        }
        let Some(first) = names.first().map(|name| (*name).clone()) else { continue };
        let mut changed = 0;
        for class in found.iter_mut().filter_map(|row| row.class.as_mut()).filter(|class| known.contains_key(*class)) {
            changed += usize::from(*class != first);
            class.clone_from(&first);
        }
        reading.warn(format!(
            "the class folders {shown} of different subsets differ in {how} only: they are one class `{first}` (rows renamed: {changed})"
        ));
    }
    Ok(())
}

/// Takes many numbered folders of images with masks as groups, such as patients: `TCGA_CS_4941`, `TCGA_CS_4942` are no classes.
pub(super) fn groups(found: &mut [Found], reading: &mut Reading) {
    let names: BTreeSet<&String> = found.iter().filter_map(|row| row.class.as_ref()).collect();
    let numbered = names.iter().all(|name| name.ends_with(|c: char| c.is_ascii_digit()) && !is_number(name));
    let masked = found.iter().filter(|row| !row.masks.is_empty()).count();
    if names.len() <= MOST_CLASSES || !numbered || 10 * masked < 9 * found.len() {
        return;
    }
    let first = names.first().map(|name| (*name).clone()).unwrap_or_default();
    reading.guess(format!(
        "the {} numbered folders of images with masks, such as {first}/, are no classes: they are groups of images (column \
         `folder`)",
        names.len()
    ));
    found.iter_mut().for_each(|row| row.group = row.class.take());
}

fn is_number(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_digit())
}
