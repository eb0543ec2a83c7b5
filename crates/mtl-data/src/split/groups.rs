//! Groups of rows (patients, sites), by a column of a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::duplicates;
use crate::dataset::{Dataset, Subset};
use crate::error::Error;

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

/// What a run should know: groups that are in more than one subset, and the setting that keeps them together.
pub(super) fn notes(dataset: &dyn Dataset, subsets: [&[usize]; 3], chosen: Option<&str>) -> Vec<String> {
    let mut columns: BTreeSet<&str> = BTreeSet::new();
    for notes in (0..dataset.len()).filter_map(|row| dataset.row_notes(row)) {
        let named = notes.columns().iter().filter(|column| column.names_groups || Some(&*column.name) == chosen);
        columns.extend(named.map(|column| column.name.as_str()));
    }
    let names = [Subset::Train, Subset::Validation, Subset::Test];
    let of = |column: &str| {
        let mut groups: BTreeMap<(usize, &str), (usize, BTreeSet<Subset>)> = BTreeMap::new();
        for (rows, subset) in subsets.into_iter().zip(names) {
            for &row in rows {
                if let Some(cell) = dataset.row_notes(row).and_then(|notes| notes.cell(column)) {
                    let (count, of_group) = groups.entry((dataset.origin(row), cell)).or_default();
                    *count += 1;
                    of_group.insert(subset);
                }
            }
        }
        let (all, crossing) = (groups.len(), groups.values().filter(|(_, subsets)| subsets.len() > 1).count());
        let repeated = groups.values().any(|(count, _)| *count > 1);
        if chosen == Some(column) {
            let kept = match crossing {
                0 => "each is in one subset".to_owned(),
                crossing => format!("{crossing} are in more than one subset, as the data set's own subsets are kept"),
            };
            return Some(format!("column `{column}` names {all} groups: {kept}"));
        }
        (chosen.is_none() && repeated && crossing > 0).then(|| {
            format!(
                "{crossing} of {all} groups of column `{column}` are in more than one subset, so that scores may be better than on \
                 new groups: data.split.group = \"{column}\" draws subsets that keep groups together"
            )
        })
    };
    columns.into_iter().filter_map(of).collect()
}
