//! Columns that assign rows to subsets: by names (`split`), or by yes and no (`is_valid`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::names::{eval_is_test, is_eval, plain, subset_named};
use super::contents::{Table, rows_words};
use super::forms::number;
use super::sheet::places;
use super::values::{is_missing, yes_no};
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;

/// Columns that may hold names of subsets, the surest first.
const NAMES: [&str; 11] =
    ["split", "subset", "partition", "usage", "set", "fold", "folds", "kfold", "foldid", "cvfold", "foldnumber"];
/// Columns of yes and no, and the subset that yes means.
const FLAGS: [(&str, Subset); 6] = [
    ("isvalid", Subset::Validation),
    ("isval", Subset::Validation),
    ("isvalidation", Subset::Validation),
    ("istest", Subset::Test),
    ("istrain", Subset::Train),
    ("istraining", Subset::Train),
];

/// Flags where the table has no other column of yes and no: elsewhere they may be labels. The others count beside `train` only.
const BARE_FLAGS: [(&str, Subset); 5] = [
    ("train", Subset::Train),
    ("val", Subset::Validation),
    ("valid", Subset::Validation),
    ("validation", Subset::Validation),
    ("test", Subset::Test),
];

/// The columns that assign subsets.
#[derive(Default)]
pub(super) struct SplitColumns {
    /// The column with names of subsets, and whether `eval` is the test subset in it.
    names: Option<(usize, bool)>,
    flags: Vec<(usize, Subset)>,
}

impl SplitColumns {
    /// Takes the columns out of `free`, and says what they assign.
    pub fn of(table: &Table, free: &mut Vec<usize>, reading: &mut Reading) -> Result<Self, Error> {
        let mut columns = Self::default();
        for name in NAMES {
            for at in free.clone().into_iter().filter(|&at| plain(&table.header[at]) == name) {
                if columns.take(table, at, reading)? {
                    free.retain(|&other| other != at);
                }
            }
        }
        let flag =
            |at: usize| FLAGS.iter().find(|(name, _)| *name == plain(&table.header[at])).map(|(_, subset)| *subset);
        let is_flag = |at: usize| table.cells(at).all(|cell| is_missing(cell) || yes_no(cell).is_some());
        if columns.names.is_none() {
            columns.names = named_by_cells(table, free);
            free.retain(|&at| columns.names.is_none_or(|(names, _)| names != at));
        }
        columns.flags = free.iter().filter_map(|&at| Some((at, flag(at)?))).filter(|&(at, _)| is_flag(at)).collect();
        let unassigned = columns.names.is_none() && columns.flags.is_empty();
        if unassigned {
            columns.flags = bare_flags(table, free, is_flag, reading);
        }
        free.retain(|at| columns.flags.iter().all(|(flag, _)| flag != at));
        columns.say(table, reading);
        Ok(columns)
    }

    /// Judges a column that is called like a split by its cells. True if it is no column of labels.
    fn take(&mut self, table: &Table, at: usize, reading: &mut Reading) -> Result<bool, Error> {
        let name = &table.header[at];
        let words: Vec<&str> = table.cells(at).filter(|cell| !is_missing(cell)).collect();
        let known = words.iter().filter(|word| subset_named(word).is_some()).count();
        if words.is_empty() {
            return Ok(false);
        }
        if words.iter().all(|word| number(word).is_some()) {
            reading.guess(format!(
                "column `{name}` holds numbers: no task and no split; to split by it, write train, validation or test into \
                 a column `split`"
            ));
            return Ok(true);
        }
        // A column `split` that names no subset is a mistake; other names may mean something else.
        if 2 * known < words.len() && !matches!(plain(name).as_str(), "split" | "subset") {
            reading.warn(format!(
                "column `{name}` holds other words than names of subsets (train, validation, test): read as labels"
            ));
            return Ok(false);
        }
        if known < words.len() {
            return Err(unknown_subset(table, at));
        }
        if let Some((first, _)) = self.names {
            reading.guess(format!("column `{name}` is left out: `{}` assigns the subsets", table.header[first]));
        } else {
            self.names = Some((at, eval_is_test(words.iter().copied())));
        }
        Ok(true)
    }

    /// Whether no column assigns subsets.
    pub fn is_empty(&self) -> bool {
        self.names.is_none() && self.flags.is_empty()
    }

    /// The subset that a row's cells assign.
    pub fn subset(&self, cells: &[String]) -> Option<Subset> {
        if let Some((at, eval_is_test)) = self.names {
            let word = &cells[at];
            return if eval_is_test && is_eval(word) { Some(Subset::Test) } else { subset_named(word) };
        }
        let flags = self.flags.iter().filter_map(|&(at, subset)| Some((subset, yes_no(&cells[at])?)));
        let flags: BTreeMap<Subset, bool> = flags.collect();
        if flags.is_empty() {
            return None;
        }
        let yes = |subset| flags.get(&subset) == Some(&true);
        let rest = if flags.get(&Subset::Train) == Some(&false) { Subset::Test } else { Subset::Train };
        Some([Subset::Test, Subset::Validation].into_iter().find(|&subset| yes(subset)).unwrap_or(rest))
    }

    fn say(&self, table: &Table, reading: &mut Reading) {
        let mut columns: Vec<&str> = self.flags.iter().map(|&(at, _)| table.header[at].as_str()).collect();
        let mut eval = BTreeSet::new();
        if let Some((at, eval_is_test)) = self.names {
            for &(flag, _) in &self.flags {
                let (flag, name) = (&table.header[flag], &table.header[at]);
                reading.guess(format!("column `{flag}` is left out: `{name}` assigns the subsets"));
            }
            columns = vec![table.header[at].as_str()];
            let named = if eval_is_test { "test" } else { "validation" };
            eval = table.cells(at).filter(|word| is_eval(word)).map(|word| format!("; `{word}` is {named}")).collect();
        }
        let count = |subset| table.lines.iter().filter(|line| self.subset(&line.cells) == subset).count();
        if columns.is_empty() || (columns == ["split"] && eval.is_empty() && count(None) == 0) {
            return;
        }
        let named =
            [(Some(Subset::Train), "train"), (Some(Subset::Validation), "validation"), (Some(Subset::Test), "test")];
        let none = [(None, "none")].into_iter().filter(|_| count(None) > 0);
        let counts = named.into_iter().chain(none).map(|(subset, name)| format!("{name} {}", count(subset)));
        let counts: Vec<String> = counts.collect();
        let eval: String = eval.into_iter().collect();
        let (noun, verb) = if columns.len() == 1 { ("column", "assigns") } else { ("columns", "assign") };
        let (columns, rows) = (columns.join("`, `"), rows_words(table.lines.len()));
        reading.guess(format!("{noun} `{columns}` {verb} {rows} to subsets: {}{eval}", counts.join(", ")));
    }
}

/// The first column whose cells are all names of subsets, training and another one among them, whatever its name.
fn named_by_cells(table: &Table, free: &[usize]) -> Option<(usize, bool)> {
    let is_split = |at: usize| {
        let words: BTreeSet<&str> = table.cells(at).filter(|cell| !is_missing(cell)).collect();
        let subsets: Option<BTreeSet<Subset>> = words.iter().map(|word| subset_named(word)).collect();
        subsets.is_some_and(|subsets| subsets.len() > 1 && subsets.contains(&Subset::Train))
    };
    let at = free.iter().copied().find(|&at| is_split(at))?;
    Some((at, eval_is_test(table.cells(at).filter(|cell| !is_missing(cell)))))
}

/// `train`, with `val` and `test`, as columns of yes and no.
fn bare_flags(
    table: &Table,
    free: &[usize],
    is_flag: impl Fn(usize) -> bool,
    reading: &mut Reading,
) -> Vec<(usize, Subset)> {
    let subset =
        |at: usize| BARE_FLAGS.iter().find(|(name, _)| *name == plain(&table.header[at])).map(|(_, subset)| *subset);
    let present = |at: usize| table.cells(at).any(|cell| yes_no(cell).is_some());
    let (flags, others): (Vec<usize>, Vec<usize>) =
        free.iter().copied().filter(|&at| is_flag(at) && present(at)).partition(|&at| subset(at).is_some());
    let flags: Vec<(usize, Subset)> = flags.into_iter().filter_map(|at| Some((at, subset(at)?))).collect();
    let Some(&(train, _)) = flags.iter().find(|(_, subset)| *subset == Subset::Train) else { return Vec::new() };
    if others.is_empty() {
        return flags;
    }
    reading.guess(format!(
        "column `{}` is read as a label like the other columns of yes and no: call it `is_train` if it assigns subsets",
        table.header[train]
    ));
    Vec::new()
}

fn unknown_subset(table: &Table, at: usize) -> Error {
    let unknown = |cell: &str| !is_missing(cell) && subset_named(cell).is_none();
    let faults: Vec<_> = table.lines.iter().filter(|line| unknown(&line.cells[at])).collect();
    let all = places(faults.iter().map(|line| line.number));
    let name = &table.header[at];
    match faults.first() {
        Some(first) => {
            let word = &first.cells[at];
            table.fail(first, format!("{name} `{word}`: expected train, validation or test ({all})"))
        }
        None => table.fail_in_header(format!("column `{name}` holds no subsets")),
    }
}
