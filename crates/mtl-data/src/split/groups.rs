//! Groups of rows (patients, sites), by a column of a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mtl_rng::Seed;

use super::duplicates;
use crate::dataset::{Dataset, Labels, Subset};
use crate::error::Error;
use crate::row_notes::NotedColumn;

/// For each row the lowest row of its group, through chains of equal images and of equal cells. Each source has groups of its
/// own; a row without a cell is in no group but that of its image.
///
/// # Errors
/// A column that no source has, with the columns there are.
pub(super) fn joined(dataset: &dyn Dataset, column: &str, same: &[usize]) -> Result<Vec<usize>, Error> {
    let mut columns: BTreeSet<&str> = BTreeSet::new();
    for notes in (0..dataset.len()).filter_map(|row| dataset.row_notes(row)) {
        columns.extend(notes.columns().iter().map(|column| column.name.as_str()));
    }
    if !columns.contains(column) {
        let known: Vec<String> = columns.iter().map(|name| format!("`{name}`")).collect();
        let reason = if known.is_empty() {
            "only the columns of a table name groups, and the data has no table".to_owned()
        } else {
            format!("the table has no such column; it has {}", known.join(", "))
        };
        return Err(Error::Option { key: "split.group", value: column.to_owned(), reason });
    }
    let mut first: HashMap<(usize, &str), usize> = HashMap::new();
    let mut pairs: Vec<(usize, usize)> = same.iter().copied().enumerate().map(|(row, image)| (image, row)).collect();
    for row in 0..dataset.len() {
        if let Some(cell) = dataset.row_notes(row).and_then(|notes| notes.cell(column)) {
            pairs.push((*first.entry((dataset.origin(row), cell)).or_insert(row), row));
        }
    }
    Ok(duplicates::groups(dataset.len(), pairs))
}

/// Divides whole groups into training, validation and test in random order: each goes where the numbers of rows, of rows of each
/// class of the task `stratify` and of rows with a mask come nearest to their shares (the sum of squared differences relative to
/// the shares). Every subset with a share gets a group, if there are enough.
pub(super) fn divide(
    dataset: &dyn Dataset,
    stratify: Option<usize>,
    mut groups: Vec<Vec<usize>>,
    [validation, test]: [f64; 2],
    seed: Seed,
) -> [Vec<usize>; 3] {
    let counted: BTreeMap<usize, Vec<usize>> =
        groups.iter().flatten().map(|&row| (row, kinds(&dataset.labels(row), stratify))).collect();
    let mut totals: BTreeMap<usize, f64> = BTreeMap::new();
    counted.values().flatten().for_each(|&kind| *totals.entry(kind).or_default() += 1.0);
    let shares = [1.0 - validation - test, validation, test];
    let mut subsets: [Vec<usize>; 3] = Default::default();
    let mut counts: [BTreeMap<usize, f64>; 3] = Default::default();
    seed.stream("split groups", &[]).shuffle(&mut groups);
    let mut left = groups.len();
    for group in groups {
        let mut own: BTreeMap<usize, f64> = BTreeMap::new();
        group.iter().flat_map(|row| &counted[row]).for_each(|&kind| *own.entry(kind).or_default() += 1.0);
        let empty = (0..3).filter(|&at| shares[at] > 0.0 && subsets[at].is_empty()).count();
        // How much the sum of squares grows; the other subsets stay as they are.
        let cost = |at: usize| -> f64 {
            let of_kind = |(kind, more): (&usize, &f64)| {
                let (count, wanted) = (counts[at].get(kind).copied().unwrap_or(0.0), shares[at] * totals[kind]);
                ((count + more - wanted).powi(2) - (count - wanted).powi(2)) / wanted
            };
            own.iter().map(of_kind).sum()
        };
        let open = (0..3).filter(|&at| shares[at] > 0.0 && (left > empty || subsets[at].is_empty()));
        let best = open.map(|at| (cost(at), at)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, at)| at);
        own.into_iter().for_each(|(kind, more)| *counts[best].entry(kind).or_default() += more);
        subsets[best].extend(group);
        left -= 1;
    }
    subsets
}

/// What is counted of a row: the row, whether it has a mask, its class.
fn kinds(labels: &[Labels], stratify: Option<usize>) -> Vec<usize> {
    let class = match stratify.and_then(|at| labels.get(at)) {
        Some(Labels::Class(class)) => Some(2 + class),
        _ => None,
    };
    let masked = labels.contains(&Labels::Pixels).then_some(1);
    [Some(0), masked, class].into_iter().flatten().collect()
}

/// What a run should know: groups that are in more than one subset, and the setting that keeps them together.
pub(super) fn notes(dataset: &dyn Dataset, subsets: [&[usize]; 3], chosen: Option<&str>) -> Vec<String> {
    let mut columns: BTreeSet<&str> = BTreeSet::new();
    for notes in (0..dataset.len()).filter_map(|row| dataset.row_notes(row)) {
        let wanted = |column: &&NotedColumn| chosen.map_or(column.names_groups, |chosen| *column.name == *chosen);
        let named = notes.columns().iter().filter(wanted);
        columns.extend(named.map(|column| column.name.as_str()));
    }
    let names = [Subset::Train, Subset::Validation, Subset::Test];
    let of = |column: &str| {
        let mut groups: BTreeMap<(usize, &str), BTreeSet<Subset>> = BTreeMap::new();
        let mut drawn = false;
        for (rows, subset) in subsets.into_iter().zip(names) {
            for &row in rows {
                if let Some(cell) = dataset.row_notes(row).and_then(|notes| notes.cell(column)) {
                    groups.entry((dataset.origin(row), cell)).or_default().insert(subset);
                    drawn |= dataset.subset(row).is_none();
                }
            }
        }
        let chosen = chosen == Some(column);
        let mut crossing = groups.iter().filter(|(_, subsets)| subsets.len() > 1);
        let Some(((_, example), of_example)) = crossing.next() else {
            return chosen.then(|| format!("column `{column}` names {} groups: each is in one subset", groups.len()));
        };
        let of_example: Vec<&str> = of_example.iter().map(|subset| subset.name()).collect();
        let remedy = if drawn && !chosen {
            format!("data.split.group = \"{column}\" keeps groups together")
        } else {
            "the data set's own subsets are kept".to_owned()
        };
        Some(format!(
            "{} of {} groups of column `{column}` are in more than one subset, such as `{example}` ({}), so that scores may be \
             better than on new groups: {remedy}",
            1 + crossing.count(),
            groups.len(),
            of_example.join(", ")
        ))
    };
    columns.into_iter().filter_map(of).collect()
}
