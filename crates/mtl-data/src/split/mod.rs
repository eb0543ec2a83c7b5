//! Splits: rows assigned to training, validation and test.
//!
//! Subsets given by the data set's authors are kept: a given test subset is the test subset, and validation is taken from
//! training if it was not given. Subsets that are not given are drawn by seed, stratified by the first classification task
//! (a missing label is a stratum of its own) and, within it, by whether the row has a mask. Equal images are never in two
//! subsets: where the authors' own subsets share an image, its rows in the earlier of training, validation, test are left
//! out.
//!
//! Groups ([`Config::group`]) are drawn as a whole, and so are groups that share an image; classes are as near to their shares as
//! that allows. Subsets that the data set gives are kept, also where they divide a group.
//!
//! Generated images ([`crate::RowNotes::generated`]) are training images, and change nothing for the others. One that is also
//! an image of validation or test is left out.
//!
//! Of several sources ([`crate::ConcatDataset`]) each is divided on its own, by its own given subsets, its own first
//! classification task and the same streams: it has the same subsets as when opened alone, so that scores can be compared,
//! and a further source moves no image to another subset. An image that is in two sources follows the one with fewer subsets
//! to draw, or else the first.
//!
//! Cost: the fingerprints of the rows ([`Dataset::facts`]). A folder opened with `verify` has them already; otherwise every
//! image is decoded, except with `duplicates = "content"`.

mod config;
pub mod duplicates;
mod groups;
mod same;

use std::collections::{BTreeMap, BTreeSet};

use mtl_rng::Seed;
use mtl_task::TaskKind;
use serde::{Deserialize, Serialize};
use tracing::info;

pub use self::config::{Config, Duplicates};
use crate::dataset::{Dataset, Labels, Subset};
use crate::error::Error;

/// Row numbers of each subset, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// For gradients.
    pub train: Vec<usize>,
    /// For early stopping and choices.
    pub validation: Vec<usize>,
    /// For the reported scores.
    pub test: Vec<usize>,
    /// In no subset, because the data set's own subsets share these images.
    pub left_out: Vec<usize>,
    /// Notes for the user (classes that are not in every subset), one sentence each.
    pub notes: Vec<String>,
}

impl Splits {
    /// Splits `dataset`; equal arguments give equal subsets at any thread count.
    ///
    /// # Errors
    /// Impossible shares, too few rows, a class with a single image, an unknown column of groups, or an unreadable file.
    pub fn new(dataset: &dyn Dataset, config: &Config, seed: Seed) -> Result<Self, Error> {
        config::check(config)?;
        let rows = dataset.len();
        let parts: Vec<Option<Subset>> = (0..rows).map(|row| dataset.subset(row)).collect();
        let names = dataset.origins();
        let mut drawn_of = vec![Drawn { test: config.test > 0.0, validation: config.validation > 0.0 }; names.len()];
        for row in 0..rows {
            let drawn = &mut drawn_of[dataset.origin(row)];
            match parts[row] {
                Some(Subset::Test) => drawn.test = false,
                Some(Subset::Validation) => drawn.validation = false,
                Some(Subset::Train) | None => {}
            }
        }
        let generated: Vec<bool> = (0..rows).map(|row| dataset.is_generated(row)).collect();
        let same = same::same_images(dataset, config.duplicates)?;
        let mut split = Self { notes: same.contradictions(dataset), ..Self::default() };
        let group_of = same.groups;
        let joined = match &config.group {
            Some(column) => &groups::joined(dataset, column, &group_of)?,
            None => &group_of,
        };
        let mut pool: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let given = |row: usize| parts[row].filter(|_| !generated[row]).unwrap_or(Subset::Train);
        let mut latest = vec![Subset::Train; rows];
        (0..rows).for_each(|row| latest[group_of[row]] = latest[group_of[row]].max(given(row)));
        for row in 0..rows {
            match given(row) {
                subset if subset < latest[group_of[row]] => split.left_out.push(row),
                Subset::Test => split.test.push(row),
                Subset::Validation => split.validation.push(row),
                Subset::Train if generated[row] => {}
                Subset::Train => pool.entry(joined[row]).or_default().push(row),
            }
        }
        if !split.left_out.is_empty() {
            split.notes.push(format!(
                "{} rows are left out: the data set's own subsets share their images",
                split.left_out.len()
            ));
        }
        let pool: Vec<Vec<usize>> = pool.into_values().collect();
        if generated.iter().all(|generated| *generated) && rows > 0 {
            return Err(Error::OnlyGenerated { name: dataset.schema().name.clone(), rows });
        }
        check_sizes(dataset, &pool, &drawn_of, config.group.as_deref())?;
        let mut homes = vec![Vec::new(); names.len()];
        for group in &pool {
            let sources = group.iter().map(|&row| dataset.origin(row));
            homes[sources.min_by_key(|&source| (drawn_of[source].subsets(), source)).unwrap_or(0)].push(group.clone());
        }
        for (source, groups) in homes.into_iter().enumerate() {
            split.divide(&Divided { dataset, source, pool: &pool }, groups, drawn_of[source], config, seed)?;
        }
        split.add_generated(&generated, joined);
        if split.train.is_empty() {
            return Err(Error::TooFewRows { name: dataset.schema().name.clone(), rows: 0, needed: 1 });
        }
        for subset in [&mut split.train, &mut split.validation, &mut split.test] {
            subset.sort_unstable();
        }
        split.note_absent_classes(dataset);
        split.notes.extend(groups::notes(dataset, split.subsets(), config.group.as_deref()));
        let ([train, validation, test], left_out) = (split.sizes(), split.left_out.len());
        info!(dataset = dataset.schema().name, train, validation, test, left_out, "split");
        Ok(split)
    }

    /// Adds generated rows to training, without those whose image is in validation or test.
    fn add_generated(&mut self, generated: &[bool], group_of: &[usize]) {
        let held_out: BTreeSet<usize> = self.validation.iter().chain(&self.test).map(|&row| group_of[row]).collect();
        let all = (0..generated.len()).filter(|&row| generated[row] && !self.left_out.contains(&row));
        let (left_out, added): (Vec<usize>, Vec<usize>) = all.partition(|&row| held_out.contains(&group_of[row]));
        if !left_out.is_empty() {
            let rows = if left_out.len() == 1 {
                "1 generated row is"
            } else {
                &format!("{} generated rows are", left_out.len())
            };
            self.notes.push(format!("{rows} left out: their images are in validation or test"));
        }
        self.left_out.extend(left_out);
        self.left_out.sort_unstable();
        self.train.extend(added);
    }

    /// The rows of the three subsets.
    pub fn subsets(&self) -> [&[usize]; 3] {
        [&self.train, &self.validation, &self.test]
    }

    /// Rows in the three subsets.
    pub fn sizes(&self) -> [usize; 3] {
        [self.train.len(), self.validation.len(), self.test.len()]
    }

    fn divide(
        &mut self,
        place: &Divided<'_>,
        groups: Vec<Vec<usize>>,
        drawn: Drawn,
        config: &Config,
        seed: Seed,
    ) -> Result<(), Error> {
        let Divided { dataset, source, pool } = *place;
        let (draw_test, draw_validation) = (drawn.test, drawn.validation);
        let tasks = &dataset.schema().tasks;
        let stratify = place.stratify();
        if config.group.is_some() {
            let share = |share: f64, wanted: bool| if wanted { share } else { 0.0 };
            let shares = [share(config.validation, draw_validation), share(config.test, draw_test)];
            let [train, validation, test] = groups::divide(dataset, stratify, groups, shares, seed);
            self.train.extend(train);
            self.validation.extend(validation);
            self.test.extend(test);
            return Ok(());
        }
        // Class (none: no label, or no such task) -> has a mask -> groups.
        let mut strata: BTreeMap<Option<usize>, BTreeMap<bool, Vec<Vec<usize>>>> = BTreeMap::new();
        for group in groups {
            let labels = labels_of(dataset, &group);
            let class = stratify.and_then(|at| if let Labels::Class(class) = labels[at] { Some(class) } else { None });
            let masked = labels.contains(&Labels::Pixels);
            strata.entry(class).or_default().entry(masked).or_default().push(group);
        }
        let subsets = drawn.subsets();
        let only_stratum = strata.len() == 1;
        for (class, by_mask) in strata {
            let ordered = interleaved(by_mask, seed, class);
            let labelled = class.zip(stratify).map(|(class, at)| (&tasks[at].name, &tasks[at].kind.classes()[class]));
            if let (Some((task, class_name)), [only], true) = (labelled, &ordered[..], draw_test) {
                // Other sources may have images of a class that this one lacks.
                let alike = |group: &&Vec<usize>| {
                    class.zip(stratify).is_some_and(|(class, at)| labels_of(dataset, group)[at] == Labels::Class(class))
                };
                if pool.iter().filter(alike).count() < 2 {
                    let (task, class) = (task.clone(), class_name.clone());
                    return Err(Error::SingletonClass { task, class, row: dataset.row_name(only[0]) });
                }
            }
            if let Some((task, class)) = labelled
                && ordered.len() < subsets
            {
                let images = ordered.len();
                let names = dataset.origins();
                let place = if names.len() > 1 { format!(" in source `{}`", names[source]) } else { String::new() };
                self.notes
                    .push(format!("class `{class}` of `{task}` has {images} images for {subsets} subsets{place}"));
            }
            let total: usize = ordered.iter().map(Vec::len).sum();
            // A class gets at least one image in each subset where it has enough of them.
            let share = |fraction: f64, wanted: bool, reserve: usize| {
                let least = usize::from(ordered.len() > reserve);
                if wanted { ((total as f64 * fraction).round() as usize).max(least) } else { 0 }
            };
            let mut left = ordered.clone();
            // Rows without a label may be absent from a subset, unless all rows are without one.
            let floor = if class.is_some() || only_stratum { 1 } else { 2 };
            let test = share(config.test, draw_test, floor);
            self.test.extend(take(&mut left, test));
            let reserve = floor + usize::from(draw_test);
            let validation = share(config.validation, draw_validation, reserve);
            self.validation.extend(take(&mut left, validation));
            self.train.extend(left.into_iter().flatten());
        }
        Ok(())
    }

    fn note_absent_classes(&mut self, dataset: &dyn Dataset) {
        let counts = [&self.train, &self.validation, &self.test].map(|rows| class_counts(dataset, rows));
        for (at, task) in dataset.schema().tasks.iter().enumerate() {
            for (class, name) in task.kind.classes().iter().enumerate() {
                let absent: Vec<&str> = ["training", "validation", "test"]
                    .into_iter()
                    .zip(&counts)
                    .zip(self.sizes())
                    .filter(|((_, counts), size)| *size > 0 && counts[at].get(class) == Some(&0))
                    .map(|((subset, _), _)| subset)
                    .collect();
                if !absent.is_empty() && absent.len() < 3 {
                    let subsets = absent.join(" and ");
                    self.notes.push(format!("class `{name}` of `{}` has no image in the {subsets} subset", task.name));
                }
            }
        }
    }
}

/// The subsets that a source does not give itself.
#[derive(Clone, Copy)]
struct Drawn {
    test: bool,
    validation: bool,
}

impl Drawn {
    fn subsets(self) -> usize {
        1 + usize::from(self.test) + usize::from(self.validation)
    }
}

/// A source, and the groups of equal images of all sources that are to be divided.
struct Divided<'a> {
    dataset: &'a dyn Dataset,
    source: usize,
    pool: &'a [Vec<usize>],
}

impl Divided<'_> {
    /// The first classification task; of several sources the first that this one labels.
    fn stratify(&self) -> Option<usize> {
        let several = self.dataset.origins().len() > 1;
        let own = |row: &usize| self.dataset.origin(*row) == self.source;
        let labels = |at: usize| {
            let mut rows = self.pool.iter().flatten().filter(|row| own(row));
            rows.any(|&row| self.dataset.labels(row)[at] != Labels::Missing)
        };
        let tasks = self.dataset.schema().tasks.iter().enumerate();
        let mut classes = tasks.filter(|(_, task)| matches!(task.kind, TaskKind::Classification { .. }));
        classes.find(|(at, _)| !several || labels(*at)).map(|(at, _)| at)
    }
}

/// Labels of an image: per task the first label among the first rows of each source that has the image.
fn labels_of(dataset: &dyn Dataset, group: &[usize]) -> Vec<Labels> {
    let mut labels = dataset.labels(group[0]);
    for rows in group.windows(2).filter(|rows| dataset.origin(rows[0]) != dataset.origin(rows[1])) {
        for (label, other) in labels.iter_mut().zip(dataset.labels(rows[1])) {
            if *label == Labels::Missing {
                *label = other;
            }
        }
    }
    labels
}

/// That each source has enough different images for its subsets, its own or shared ones.
fn check_sizes(
    dataset: &dyn Dataset,
    pool: &[Vec<usize>],
    drawn_of: &[Drawn],
    column: Option<&str>,
) -> Result<(), Error> {
    let names = dataset.origins();
    for (source, drawn) in drawn_of.iter().enumerate() {
        let own = |row: &usize| dataset.origin(*row) == source;
        let rows = pool.iter().filter(|group| group.iter().any(own)).count();
        // One of several may be there to be tested on only.
        let given = rows == 0 && names.len() > 1 && (0..dataset.len()).any(|row| own(&row));
        let needed = drawn.subsets();
        if let (true, Some(column)) = (rows < needed && !given, column) {
            let (name, column) = (names[source].clone(), column.to_owned());
            return Err(Error::TooFewGroups { name, column, groups: rows, needed });
        }
        if rows < needed && !given {
            return Err(Error::TooFewRows { name: names[source].clone(), rows, needed });
        }
    }
    Ok(())
}

/// Rows per class, for each classification task among `rows`; an empty list for other tasks.
pub fn class_counts(dataset: &dyn Dataset, rows: &[usize]) -> Vec<Vec<usize>> {
    let tasks = &dataset.schema().tasks;
    let mut counts: Vec<Vec<usize>> = tasks
        .iter()
        .map(|task| match &task.kind {
            TaskKind::Classification { classes } => vec![0; classes.len()],
            _ => Vec::new(),
        })
        .collect();
    for &row in rows {
        for (counts, label) in counts.iter_mut().zip(dataset.labels(row)) {
            if let Labels::Class(class) = label
                && let Some(count) = counts.get_mut(class)
            {
                *count += 1;
            }
        }
    }
    counts
}

/// Groups in random order, but such that any run of them holds rows with and without masks in proportion.
fn interleaved(by_mask: BTreeMap<bool, Vec<Vec<usize>>>, seed: Seed, class: Option<usize>) -> Vec<Vec<usize>> {
    let mut keyed: Vec<(f64, bool, Vec<usize>)> = Vec::new();
    for (masked, mut groups) in by_mask {
        let index = class.map_or(0, |class| class as u64 + 1);
        seed.stream("split", &[index, u64::from(masked)]).shuffle(&mut groups);
        let count = groups.len() as f64;
        keyed.extend(groups.into_iter().enumerate().map(|(at, group)| ((at as f64 + 0.5) / count, masked, group)));
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, _, group)| group).collect()
}

/// Takes whole groups from the front until `rows` rows are taken, passing over groups that are too large; if none fits,
/// the smallest. Never takes the last group.
fn take(groups: &mut Vec<Vec<usize>>, rows: usize) -> Vec<usize> {
    let mut taken = Vec::new();
    let mut kept = Vec::new();
    let count = groups.len();
    for (at, group) in std::mem::take(groups).into_iter().enumerate() {
        let last_one = kept.is_empty() && at + 1 == count;
        if taken.len() + group.len() <= rows && !last_one { taken.extend(group) } else { kept.push(group) }
    }
    if taken.is_empty() && rows > 0 && kept.len() > 1 {
        let smallest = (0..kept.len()).min_by_key(|&at| kept[at].len()).unwrap_or(0);
        taken = kept.remove(smallest);
    }
    *groups = kept;
    taken
}

#[cfg(test)]
mod tests;
