//! Concatenation of data sets (as PyTorch's `ConcatDataset`): each contributes its rows and its labels.
//!
//! * **Tasks** are the union, in the order in which sources name them. An equal name with an equal kind (and the same
//!   classes in the same order) is one task, and its labels pool; an equal name with another kind is an error, because
//!   class 3 here would be class 3 there. [`Component::tasks`] leaves tasks out, [`Component::rename`] separates tasks that only share
//!   a name (two class folders both call their task `class`). Where a source has no such task its rows are
//!   unlabelled for it, which every loss and score passes over.
//! * **Rows** are those of the first source, then those of the second, and so on, named `SOURCE/ROW`.
//! * **Images** are of three channels as soon as one source is in colour: the grey value, three times.
//! * **Subsets** of the split are each source's own: see [`crate::split`].
//! * **Sampling** of rows from the sources: see [`crate::sampling`].
//!
//! Cost: a list of columns per source; rows are decoded by the source they come from.
//!
//! ```
//! use std::sync::Arc;
//! use mtl_data::{Dataset, Labels, Scenes, ConcatDataset, scenes, concat::Component};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let drawn = |seed| Scenes::new(scenes::Config { count: 4, seed, ..Default::default() }).map(Arc::new);
//! let only = |tasks: &[&str]| Some(tasks.iter().map(|&task| task.into()).collect());
//! let classes = Component { tasks: only(&["class"]), ..Component::new(drawn(1)?) };
//! let masks = Component { name: Some("masks".into()), tasks: only(&["parts"]), ..Component::new(drawn(2)?) };
//! let both = ConcatDataset::new(vec![classes, masks])?;
//! assert_eq!((both.len(), both.origin(3), both.origin(4)), (8, 0, 1));
//! assert_eq!(both.row_name(4), "masks/scene-000000");
//! assert_eq!(both.labels(4), [Labels::Missing, Labels::Pixels]);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mtl_registry::UnknownName;
use mtl_task::{Target, Task, TaskKind};

use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::facts::{FileFacts, LabelFacts, RowFacts, Wanted};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// Longest name of a source, and of all of them together: run folders are named by it.
const LONGEST_NAME: usize = 60;

/// One of the data sets to be concatenated.
#[derive(Clone)]
pub struct Component {
    /// Its name in row names and messages. Default: the data set's name. Of equal names the later ones get a number.
    pub name: Option<String>,
    /// The data set.
    pub dataset: Arc<dyn Dataset>,
    /// Only these of its tasks, by its own names; none at all leaves images without labels. Default: all.
    pub tasks: Option<Vec<String>>,
    /// Other names for tasks: its own name to the name here.
    pub rename: BTreeMap<String, String>,
}

impl Component {
    /// All tasks of a data set, under the names it gives.
    pub fn new(dataset: Arc<dyn Dataset>) -> Self {
        Self { name: None, dataset, tasks: None, rename: BTreeMap::new() }
    }
}

/// The concatenated data set; see the module's documentation.
pub struct ConcatDataset {
    schema: Schema,
    sources: Vec<Member>,
    skipped: Vec<Skipped>,
    reading: Reading,
}

struct Member {
    name: String,
    dataset: Arc<dyn Dataset>,
    /// For each task of all, where the source has it.
    columns: Vec<Option<usize>>,
    /// Its first row among all.
    first: usize,
}

impl ConcatDataset {
    /// Concatenates data sets.
    ///
    /// # Errors
    /// No data set, a name that is not one, a task that a source does not have, one task name for two things.
    pub fn new(parts: Vec<Component>) -> Result<Self, Error> {
        if parts.is_empty() {
            return Err(wrong("no source is named: at least one is needed".into()));
        }
        let names = names(&parts)?;
        let chosen: Vec<Vec<(usize, Task)>> =
            parts.iter().zip(&names).map(|(part, name)| chosen(part, name)).collect::<Result<_, _>>()?;
        let mut tasks: Vec<Task> = Vec::new();
        let mut first_with: Vec<usize> = Vec::new();
        for (at, own) in chosen.iter().enumerate() {
            for (_, task) in own {
                match tasks.iter().position(|known| known.name == task.name) {
                    None => {
                        tasks.push(task.clone());
                        first_with.push(at);
                    }
                    Some(known) if tasks[known].kind == task.kind => {}
                    Some(known) => return Err(apart([&names[first_with[known]], &names[at]], [&tasks[known], task])),
                }
            }
        }
        let counts: Vec<usize> = parts.iter().map(|part| part.dataset.schema().channels).collect();
        let channels = counts.iter().copied().max().unwrap_or(1);
        if let Some(at) = counts.iter().position(|&own| own != channels && !matches!((own, channels), (1, 3))) {
            let problem = format!(
                "`{}` has images of {} channels, another source of {channels}: only grey images are made to colour ones",
                names[at], counts[at]
            );
            return Err(Error::Concat { problem });
        }
        let (mut sources, mut skipped, mut reading) = (Vec::new(), Vec::new(), Reading::default());
        let mut first = 0;
        for ((part, name), own) in parts.into_iter().zip(&names).zip(chosen) {
            let column = |task: &Task| own.iter().find(|(_, own)| own.name == task.name).map(|(at, _)| *at);
            skipped.extend(part.dataset.skipped().iter().cloned());
            reading.extend(part.dataset.reading().of_source(name));
            let rows = part.dataset.len();
            sources.push(Member {
                name: name.clone(),
                columns: tasks.iter().map(column).collect(),
                dataset: part.dataset,
                first,
            });
            first += rows;
        }
        let schema = Schema { name: together(&names), channels, tasks };
        Ok(Self { schema, sources, skipped, reading })
    }

    /// The source of a row, and the row there.
    fn place(&self, row: usize) -> (&Member, usize) {
        let source = &self.sources[self.origin(row)];
        (source, row - source.first)
    }
}

impl Dataset for ConcatDataset {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.sources.last().map_or(0, |last| last.first + last.dataset.len())
    }

    fn row_name(&self, row: usize) -> String {
        let (source, own) = self.place(row);
        format!("{}/{}", source.name, source.dataset.row_name(own))
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        let (source, own) = self.place(row);
        let mut labels: Vec<Labels> = source.dataset.labels(own);
        let mut take = |column: usize| std::mem::replace(&mut labels[column], Labels::Missing);
        source.columns.iter().map(|column| column.map_or(Labels::Missing, &mut take)).collect()
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        let (source, own) = self.place(row);
        source.dataset.subset(own)
    }

    fn row_notes(&self, row: usize) -> Option<&RowNotes> {
        let (source, own) = self.place(row);
        source.dataset.row_notes(own)
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let (source, own) = self.place(row);
        let Sample { mut image, targets } = source.dataset.sample(own, size)?;
        if source.dataset.schema().channels < self.schema.channels {
            image = image.repeat(self.schema.channels);
        }
        let mut targets: Vec<Option<Target>> = targets.into_iter().map(Some).collect();
        let mut take = |column: usize| targets.get_mut(column).and_then(Option::take);
        let target = |(task, column): (&Task, &Option<usize>)| {
            column.and_then(&mut take).unwrap_or_else(|| task.kind.missing(1, size.height, size.width))
        };
        let targets = self.schema.tasks.iter().zip(&source.columns).map(target).collect();
        Ok(Sample { image, targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        let (source, own) = self.place(row);
        source.dataset.content_hash(own)
    }

    fn facts(&self, row: usize, wanted: Wanted) -> Result<RowFacts, Error> {
        let (member, own) = self.place(row);
        let RowFacts { content, fingerprint, labels } = member.dataset.facts(own, wanted)?;
        let mut labels: Vec<Option<LabelFacts>> = labels.into_iter().map(Some).collect();
        let mut take = |column: usize| labels.get_mut(column).and_then(Option::take).unwrap_or(LabelFacts::Missing);
        let columns = member.columns.iter().filter(|_| wanted.labels);
        let labels = columns.map(|column| column.map_or(LabelFacts::Missing, &mut take)).collect();
        Ok(RowFacts { content, fingerprint, labels })
    }

    fn files(&self) -> Vec<(&Path, &FileFacts)> {
        self.sources.iter().flat_map(|member| member.dataset.files()).collect()
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        let (source, own) = self.place(row);
        source.dataset.native_size(own)
    }

    /// The largest of all components; images of 8 bits have none.
    fn largest_value(&self) -> Option<f32> {
        self.sources.iter().filter_map(|member| member.dataset.largest_value()).reduce(f32::max)
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn origins(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }

    fn origin(&self, row: usize) -> usize {
        self.sources.partition_point(|source| source.first <= row).saturating_sub(1)
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }
}

/// `rows` in an order in which every run from the start holds the sources in proportion: for statistics taken over the
/// first so many. Within a source the order stays; with one source all of it does.
pub fn spread(dataset: &dyn Dataset, rows: &[usize]) -> Vec<usize> {
    let mut by_source: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    rows.iter().for_each(|&row| by_source.entry(dataset.origin(row)).or_default().push(row));
    let mut keyed: Vec<(f64, usize, usize)> = Vec::with_capacity(rows.len());
    for (source, rows) in by_source {
        let count = rows.len() as f64;
        keyed.extend(rows.into_iter().enumerate().map(|(at, row)| ((at as f64 + 0.5) / count, source, row)));
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, _, row)| row).collect()
}

/// A name each, no two alike: a repeated one gets the first number that is free.
fn names(parts: &[Component]) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::new();
    for part in parts {
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = part.name.clone().unwrap_or_else(|| {
            // A folder may be called anything.
            let own = part.dataset.schema().name.trim_start_matches('.');
            let own: String = own.chars().map(|c| if usable(c) { c } else { '-' }).take(LONGEST_NAME).collect();
            if own.is_empty() { "source".into() } else { own }
        });
        if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.chars().all(usable) {
            return Err(wrong(format!(
                "`{name}` cannot name a source: 1 to {LONGEST_NAME} letters, digits, `-`, `_` and `.` can, not beginning \
                 with `.`; give it another with `name`"
            )));
        }
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name));
        names.push(free.unwrap_or(name));
    }
    Ok(names)
}

/// One name for all of them.
fn together(names: &[String]) -> String {
    let all = names.join("-");
    match names {
        [first, rest @ ..] if all.len() > LONGEST_NAME => format!("{first}-and-{}-more", rest.len()),
        _ => all,
    }
}

/// The tasks of a source: their positions there, and their names here.
fn chosen(part: &Component, source: &str) -> Result<Vec<(usize, Task)>, Error> {
    let own = &part.dataset.schema().tasks;
    let find = |key: &'static str, name: &str| {
        own.iter().position(|task| task.name == name).ok_or_else(|| Error::NoSuchTask {
            origin: source.to_owned(),
            unknown: Box::new(UnknownName::new(key, name, own.iter().map(|task| task.name.as_str()))),
        })
    };
    for name in part.rename.keys() {
        find("task in `rename`", name)?;
    }
    let wanted: Vec<usize> = match &part.tasks {
        None => (0..own.len()).collect(),
        Some(names) => names.iter().map(|name| find("task in `tasks`", name)).collect::<Result<_, _>>()?,
    };
    let mut seen = BTreeSet::new();
    let mut tasks = Vec::new();
    for at in wanted {
        let name = part.rename.get(&own[at].name).unwrap_or(&own[at].name);
        if name.is_empty() {
            return Err(wrong(format!("source `{source}`: `rename` gives task `{}` an empty name", own[at].name)));
        }
        if !seen.insert(name) {
            let advice = "name each task once, in `tasks` and in `rename`";
            return Err(wrong(format!("source `{source}` has two tasks called `{name}`: {advice}")));
        }
        tasks.push((at, Task::new(name, own[at].kind.clone())));
    }
    Ok(tasks)
}

/// One name for two things.
fn apart([first, second]: [&str; 2], [known, other]: [&Task; 2]) -> Error {
    let name = &known.name;
    let words = |task: &Task| match &task.kind {
        TaskKind::Dense { unit } | TaskKind::Regression { unit } => format!("{} in `{unit}`", task.kind.name()),
        kind => format!("{} of {}", kind.name(), kind.classes().join(", ")),
    };
    wrong(format!(
        "task `{name}` is {} in source `{first}` and {} in source `{second}`. If they are two tasks, give one another name \
         (`rename = {{ {name} = \"NAME\" }}` of its source) or leave it out (`tasks = [...]`); if they are one, label both \
         with the same classes",
        words(known),
        words(other)
    ))
}

fn wrong(problem: String) -> Error {
    Error::Concat { problem }
}

#[cfg(test)]
mod tests;
