//! Which files of a folder are the table: by name, and by whether their first lines name images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::names::{eval_is_test, is_eval, plain, subset_named};
use super::super::subsets::subsets;
use super::super::walk;
use super::paths::{Kind, Paths};
use super::sheet::{Sheet, is_image_column};
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;

/// Names of tables, without their ending.
const NAMES: [&str; 6] = ["manifest", "metadata", "labels", "train", "annotations", "data"];
/// Tables of results, which are no data although they name images.
const RESULTS: [&str; 4] = ["palette", "predictions", "results", "scores"];
/// Tables with other names that are looked into.
const MAX_OTHERS: usize = 20;

/// A table, and the subset that its name gives its rows.
pub(super) type Named = (PathBuf, Option<Subset>);

enum Found {
    Nothing,
    One(PathBuf),
    /// One per subset.
    Split(Vec<Named>),
    /// The only table with a name of its own.
    Other(PathBuf),
    Several(Vec<PathBuf>),
}

/// Whether there is a table to read, or several to choose from.
pub(super) fn any(path: &Path) -> bool {
    !matches!(found(path), Found::Nothing)
}

/// The tables of the data set at `path`, a folder or a table.
pub(super) fn tables(
    path: &Path,
    left: &mut BTreeMap<PathBuf, &'static str>,
    reading: &mut Reading,
) -> Result<Vec<Named>, Error> {
    let fail = |reason| Err(Error::Layout { path: path.to_owned(), reason });
    let tables = match found(path) {
        Found::Nothing => {
            return fail(format!(
                "no table that names images (looked for {}, each .csv, .tsv or .jsonl)",
                NAMES.join(", ")
            ));
        }
        Found::Several(tables) => {
            let names: Vec<String> = tables.iter().map(|table| format!("`{}`", walk::relative(table, path))).collect();
            return fail(format!(
                "several tables name images: {}; give the path of one of them instead of the folder's, or rename one to \
                 manifest.csv",
                names.join(", ")
            ));
        }
        Found::One(table) => {
            if path.is_dir() && plain(&walk::stem(&table)) != "manifest" {
                reading.guess(format!("`{}` names the images: it is read as the table", walk::relative(&table, path)));
            }
            if path.is_dir() && table.parent() != Some(path) {
                let folder = table.parent().map(walk::name).unwrap_or_default();
                reading.warn(format!(
                    "only {folder}/ has a table: the images of the folders beside it are not read, and subsets are drawn from \
                     {folder}/"
                ));
            }
            vec![(table, None)]
        }
        Found::Other(table) => {
            reading.guess(format!("`{}` is the only table that names images: it is read", walk::name(&table)));
            vec![(table, None)]
        }
        Found::Split(tables) => {
            let names: Vec<String> =
                tables.iter().map(|(table, _)| format!("`{}`", walk::relative(table, path))).collect();
            reading.guess(format!("{} are read as one data set, and each is one subset", names.join(", ")));
            tables
        }
    };
    if path.is_dir() {
        let folders: BTreeSet<&Path> = tables.iter().filter_map(|(table, _)| table.parent()).chain([path]).collect();
        for other in folders.iter().flat_map(|folder| with_ending(folder, &["csv", "tsv", "jsonl"])) {
            if tables.iter().all(|(table, _)| *table != other)
                && !walk::name(&other).eq_ignore_ascii_case("palette.csv")
            {
                left.insert(other, "a table beside the one that is read");
            }
        }
    }
    Ok(tables)
}

fn found(path: &Path) -> Found {
    if path.is_file() {
        let table = has_ending(path, &["csv", "tsv", "jsonl"]) || (is_plain_text(path) && names_images(path, false));
        return if table { Found::One(path.to_owned()) } else { Found::Nothing };
    }
    match in_folder(path) {
        Found::Nothing => in_subsets(path),
        found => found,
    }
}

/// One table in each of the folders of subsets, at least in one.
fn in_subsets(path: &Path) -> Found {
    let Ok(Some(folders)) = subsets(path) else { return Found::Nothing };
    let (mut tables, mut several) = (Vec::new(), Vec::new());
    for folder in folders {
        match in_folder(&folder.path) {
            Found::One(table) | Found::Other(table) => tables.push((table, Some(folder.subset))),
            Found::Several(found) => several.extend(found),
            Found::Split(found) => several.extend(found.into_iter().map(|(table, _)| table)),
            Found::Nothing => {}
        }
    }
    match (several.is_empty(), tables.len()) {
        (false, _) => Found::Several(several),
        (true, 0) => Found::Nothing,
        (true, 1) => Found::One(tables.remove(0).0),
        (true, _) => Found::Split(tables),
    }
}

fn in_folder(path: &Path) -> Found {
    let mut texts = with_ending(path, &["csv", "tsv", "jsonl", "txt"]);
    texts.retain(|table| !is_submission(table));
    if texts.iter().any(|table| walk::name(table) == "manifest.csv") {
        return Found::One(path.join("manifest.csv"));
    }
    let named = |name: &str, sure: bool| -> Vec<PathBuf> {
        let of_name = texts.iter().filter(|table| stem(table) == name);
        of_name
            .filter(|table| (sure && !is_plain_text(table)) || names_images(table, !is_plain_text(table)))
            .cloned()
            .collect()
    };
    let manifests = named("manifest", true);
    if !manifests.is_empty() {
        return one_of(manifests, Found::One);
    }
    let known: Vec<PathBuf> = NAMES.iter().flat_map(|name| named(name, false)).collect();
    match &known[..] {
        [] => {}
        [train] if stem(train) == "train" => return with_other_subsets(train, &texts),
        _ => return one_of(known, Found::One),
    }
    let others = texts.iter().filter(|table| !is_plain_text(table) && !RESULTS.contains(&stem(table).as_str()));
    one_of(others.take(MAX_OTHERS).filter(|table| names_images(table, false)).cloned().collect(), Found::Other)
}

/// A table of results for a competition, such as `stage_1_sample_submission.csv`.
fn is_submission(table: &Path) -> bool {
    stem(table).contains("submission")
}

/// The name without ending, as names are compared.
fn stem(table: &Path) -> String {
    plain(&walk::stem(table))
}

fn is_plain_text(table: &Path) -> bool {
    has_ending(table, &["txt"])
}

fn one_of(mut tables: Vec<PathBuf>, one: fn(PathBuf) -> Found) -> Found {
    match (tables.len(), tables.pop()) {
        (1, Some(table)) => one(table),
        (_, Some(last)) => {
            tables.push(last);
            Found::Several(tables)
        }
        (_, None) => Found::Nothing,
    }
}

/// `train.csv`, with a validation and a test table if they are there.
fn with_other_subsets(train: &Path, texts: &[PathBuf]) -> Found {
    let mut tables = vec![(train.to_owned(), Some(Subset::Train))];
    let stems: Vec<String> = texts.iter().map(|table| walk::stem(table)).collect();
    let eval_is_test = eval_is_test(stems.iter().map(String::as_str));
    for subset in [Subset::Validation, Subset::Test] {
        let of_subset = |table: &&PathBuf| {
            let stem = walk::stem(table);
            let named = if eval_is_test && is_eval(&stem) { Some(Subset::Test) } else { subset_named(&stem) };
            named == Some(subset) && names_images(table, false)
        };
        let mut found: Vec<PathBuf> = texts.iter().filter(of_subset).cloned().collect();
        if found.len() > 1 {
            found.push(train.to_owned());
            return Found::Several(found);
        }
        tables.extend(found.into_iter().map(|table| (table, Some(subset))));
    }
    if tables.len() == 1 { Found::One(train.to_owned()) } else { Found::Split(tables) }
}

/// Whether a column of images is in the header and some of the first lines name image files (all, where the column's name
/// says little). With `lenient`, a clear name is enough, and so is a first line that names an image: both are then refused
/// with their reason.
fn names_images(table: &Path, lenient: bool) -> bool {
    let Some(head) = Sheet::head(table) else { return false };
    let mut paths = Paths::new(table.parent().unwrap_or(Path::new("")));
    let columns: Vec<usize> = (0..head.header.len()).filter(|&at| is_image_column(&head.header[at])).collect();
    let clear = |at: usize| !matches!(plain(&head.header[at]).as_str(), "id" | "name" | "imageid");
    let mut exist = |at: usize| {
        let found = head.lines.iter().filter(|line| paths.finds(&line.cells[at], Kind::Image)).count();
        found > 0 && (clear(at) || found == head.lines.len())
    };
    columns.iter().any(|&at| exist(at))
        || (lenient && columns.iter().any(|&at| clear(at)))
        || (lenient && columns.is_empty() && head.header.iter().any(|cell| paths.finds_written(cell)))
}

fn with_ending(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = walk::entries(folder).unwrap_or_default();
    entries.into_iter().filter(|path| has_ending(path, endings) && path.is_file()).collect()
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|end| endings.iter().any(|known| end.eq_ignore_ascii_case(known)))
}
