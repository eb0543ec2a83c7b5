//! Images of a table in folders that are named like subsets.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::names::{eval_is_test, is_eval, is_images, subset_named};
use super::super::row::Row;
use super::super::walk;
use super::contents::{Table, rows_words};
use super::sheet::places;
use crate::dataset::Subset;
use crate::reading::Reading;

/// Makes the folders the split where nothing else assigns subsets; elsewhere warns where they contradict it. `rows` are those
/// of the table's lines; `no_column`: no column assigns subsets.
pub(super) fn assign(table: &Table, no_column: bool, rows: &mut [Row], reading: &mut Reading) {
    let folders: Vec<Option<String>> =
        rows.iter().zip(&table.lines).map(|(row, line)| subset_folder(&row.image, table.folder(line))).collect();
    let names: BTreeSet<&str> = folders.iter().flatten().map(String::as_str).collect();
    let eval_is_test = eval_is_test(names.iter().copied());
    let subset = |name: &String| if eval_is_test && is_eval(name) { Some(Subset::Test) } else { subset_named(name) };
    let of_row: Vec<Option<Subset>> = folders.iter().map(|name| name.as_ref().and_then(subset)).collect();
    let named: BTreeSet<Subset> = of_row.iter().flatten().copied().collect();
    if named.len() < 2 {
        return;
    }
    if !no_column || rows.iter().any(|row| row.subset.is_some()) {
        // Validation images are often drawn from the training folder, and generated images are moved to training.
        let contradicts = |(row, folder): &(&Row, &Option<Subset>)| match (row.subset, folder) {
            (Some(Subset::Validation), Some(Subset::Train)) | (None, _) | (_, None) => false,
            (Some(subset), Some(folder)) => subset != *folder && !row.notes.generated,
        };
        let lines = rows.iter().zip(&of_row).zip(&table.lines).filter(|(row, _)| contradicts(row));
        let lines: Vec<u64> = lines.map(|(_, line)| line.number).collect();
        if !lines.is_empty() {
            let (by, count) = (if no_column { "the table's name" } else { "a column" }, rows_words(lines.len()));
            let lines = places(lines);
            reading.warn(format!(
                "{by} assigns {count} to another subset than the image's folder is named after ({lines})"
            ));
        }
        return;
    }
    let count = |subset| of_row.iter().filter(|of_row| **of_row == subset).count();
    let counts = [Subset::Train, Subset::Validation, Subset::Test]
        .map(|subset| format!("{} {}", subset.name(), count(Some(subset))))
        .join(", ");
    if count(None) > 0 || !named.contains(&Subset::Train) {
        reading.warn(format!(
            "some folders of images are named like subsets ({counts}, none {}) and assign none: write train, validation or test \
             into a column `split`",
            count(None)
        ));
        return;
    }
    rows.iter_mut().zip(of_row).for_each(|(row, subset)| row.subset = subset);
    reading.guess(format!("the folders of the images are the subsets: {counts} (a column `split` overrides them)"));
}

/// The first folder below `root`, or the second one in a folder of images, if it is named like a subset.
fn subset_folder(image: &Path, root: &Path) -> Option<String> {
    let below = walk::relative(image.parent()?, root);
    let mut folders = below.split('/');
    let first = folders.next()?;
    let name = if is_images(first, false) { folders.next()? } else { first };
    subset_named(name).is_some().then(|| name.to_owned())
}
