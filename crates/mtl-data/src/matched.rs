//! A data set with the tasks and classes of a model: classes are matched by name.
//!
//! Labels of classes that the model does not know are missing labels: a class or a cell is missing, a pixel is not
//! labelled. Rows all of whose labels are of such classes are left out. [`MatchedDataset::differences`] says all of it with
//! counts.
//!
//! Cost: two index look-ups per label; rows are decoded by the data set behind.

use std::path::Path;
use std::sync::Arc;

use mtl_task::{Target, Task, TaskKind};
use rayon::prelude::*;

use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::facts::{FileFacts, LabelFacts, RowFacts, Wanted};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// Names that are listed; the others are counted.
const LISTED: usize = 8;

/// See the module's documentation.
pub struct MatchedDataset {
    inner: Arc<dyn Dataset>,
    schema: Schema,
    columns: Vec<Option<Column>>,
    /// Rows of the data set behind.
    rows: Vec<usize>,
    differences: Vec<String>,
}

/// A task of the model in the data set behind.
struct Column {
    at: usize,
    /// For each class there, its index here.
    classes: Vec<Option<usize>>,
}

impl MatchedDataset {
    /// Gives `inner` the tasks `tasks`, matched by name.
    ///
    /// # Errors
    /// No task in common, a task of another kind, or one without a class in common: [`Error::Unmatched`].
    pub fn new(inner: Arc<dyn Dataset>, tasks: &[Task]) -> Result<Self, Error> {
        let theirs = &inner.schema().tasks;
        let mut columns = Vec::new();
        for task in tasks {
            let at = theirs.iter().position(|their| their.name == task.name);
            columns.push(at.map(|at| Column::new(task, &theirs[at], at)).transpose()?);
        }
        if columns.iter().all(Option::is_none) {
            let names = |tasks: &[Task]| tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::Unmatched {
                problem: format!(
                    "the data labels none of the model's tasks (model: {}; data: {})",
                    names(tasks),
                    if theirs.is_empty() { "no task".to_owned() } else { names(theirs) }
                ),
            });
        }
        let schema = Schema { tasks: tasks.to_vec(), ..inner.schema().clone() };
        let mut matched = Self { rows: (0..inner.len()).collect(), inner, schema, columns, differences: Vec::new() };
        matched.say_differences()?;
        matched.leave_unknown_rows();
        Ok(matched)
    }

    /// For each task, its own position, or `None` if the data does not label it.
    pub fn columns(&self) -> Vec<Option<usize>> {
        self.columns.iter().enumerate().map(|(at, column)| column.as_ref().map(|_| at)).collect()
    }

    /// The classes in which model and data differ, and what is left out because of it; one sentence per task.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    fn say_differences(&mut self) -> Result<(), Error> {
        for (task, column) in self.schema.tasks.iter().zip(&self.columns) {
            let Some(column) = column else { continue };
            let theirs = self.inner.schema().tasks[column.at].kind.classes();
            let is_known = |class: usize| column.classes.contains(&Some(class));
            let absent: Vec<&String> = task
                .kind
                .classes()
                .iter()
                .enumerate()
                .filter(|(class, _)| !is_known(*class))
                .map(|(_, name)| name)
                .collect();
            let unknown: Vec<usize> = (0..theirs.len()).filter(|&class| column.classes[class].is_none()).collect();
            let mut parts = Vec::new();
            if !absent.is_empty() {
                let (count, all) = (absent.len(), task.kind.classes().len());
                parts.push(format!(
                    "the data lacks {count} of the model's {all} {} ({})",
                    names_of(&task.kind),
                    listed(&absent)
                ));
            }
            if !unknown.is_empty() {
                parts.push(self.unknown_words(task, column, &unknown)?);
            }
            if !parts.is_empty() {
                self.differences.push(format!("task `{}`: {}", task.name, parts.join("; ")));
            }
        }
        Ok(())
    }

    /// What the model does not know, with counts.
    fn unknown_words(&self, task: &Task, column: &Column, unknown: &[usize]) -> Result<String, Error> {
        let theirs = self.inner.schema().tasks[column.at].kind.classes();
        let wanted = Wanted { labels: true, ..Wanted::default() };
        let facts: Vec<RowFacts> =
            (0..self.inner.len()).into_par_iter().map(|row| self.inner.facts(row, wanted)).collect::<Result<_, _>>()?;
        let labels = || facts.iter().filter_map(|facts| facts.labels.get(column.at));
        let (mut counts, mut all) = (vec![0_u64; theirs.len()], 0_u64);
        for label in labels() {
            match label {
                LabelFacts::Class(class) => (counts[*class], all) = (counts[*class] + 1, all + 1),
                LabelFacts::Mask { pixels, .. } => {
                    counts.iter_mut().zip(pixels).for_each(|(count, &pixels)| *count += pixels);
                    all += pixels.iter().sum::<u64>();
                }
                LabelFacts::MultiLabel(cells) => {
                    counts.iter_mut().zip(cells).for_each(|(count, cell)| *count += u64::from(cell.is_some()));
                }
                _ => {}
            }
        }
        let names: Vec<&String> = unknown.iter().map(|&class| &theirs[class]).collect();
        let lost: u64 = unknown.iter().map(|&class| counts[class]).sum();
        let start = format!(
            "the model does not know {} of the data's {} {}",
            unknown.len(),
            theirs.len(),
            names_of(&task.kind)
        );
        Ok(match task.kind {
            TaskKind::Segmentation { .. } => {
                let share = 100.0 * lost as f64 / all.max(1) as f64;
                format!("{start} ({}): their pixels are ignored, {share:.2} % of the labelled ones", listed(&names))
            }
            TaskKind::Classification { .. } => {
                let counted: Vec<String> =
                    unknown.iter().map(|&class| format!("{} {}", theirs[class], counts[class])).collect();
                let counted: Vec<&String> = counted.iter().collect();
                format!("{start} ({}): {lost} of {all} labels are not scored", listed(&counted))
            }
            _ => format!("{start} ({}): {lost} cells are not scored", listed(&names)),
        })
    }

    /// Leaves out rows all of whose labels for the model's tasks are unknown to it.
    fn leave_unknown_rows(&mut self) {
        let labelled = |label: &Labels| *label != Labels::Missing;
        let had_label = |row: usize| {
            let labels = self.inner.labels(row);
            self.columns.iter().flatten().any(|column| labelled(&labels[column.at]))
        };
        let all = self.rows.len();
        let keeps = |row: &usize| !had_label(*row) || self.own_labels(*row).iter().any(labelled);
        let rows: Vec<usize> = self.rows.iter().copied().filter(keeps).collect();
        self.rows = rows;
        let left = all - self.rows.len();
        if left > 0 {
            let images = if left == 1 { "image is" } else { "images are" };
            self.differences.push(format!("{left} of {all} {images} left out: the model knows none of their labels"));
        }
    }

    /// The labels of a row of the data set behind.
    fn own_labels(&self, row: usize) -> Vec<Labels> {
        let labels = self.inner.labels(row);
        let own = |column: &Option<Column>| {
            column.as_ref().map_or(Labels::Missing, |column| column.label(&labels[column.at]))
        };
        let counts = self.schema.tasks.iter().map(|task| task.kind.outputs());
        self.columns.iter().map(own).zip(counts).map(|(label, count)| sized(label, count)).collect()
    }
}

/// Cells of labels that the data lacks are missing.
fn sized(label: Labels, count: usize) -> Labels {
    match label {
        Labels::MultiLabel(mut cells) => {
            cells.resize(count, None);
            if cells.iter().any(Option::is_some) { Labels::MultiLabel(cells) } else { Labels::Missing }
        }
        other => other,
    }
}

impl Column {
    fn new(task: &Task, their: &Task, at: usize) -> Result<Self, Error> {
        let fail = |problem: String| Err(Error::Unmatched { problem });
        let name = &task.name;
        let ours = task.kind.classes();
        let theirs = their.kind.classes();
        let same_kind = task.kind.name() == their.kind.name();
        if !same_kind || (ours.is_empty() && task.kind != their.kind) {
            return fail(format!(
                "task `{name}` is {} in the model and {} in the data; the two must be of one kind to be scored",
                described(task),
                described(their)
            ));
        }
        let classes: Vec<Option<usize>> =
            theirs.iter().map(|their| ours.iter().position(|class| class == their)).collect();
        // A background alone is no object in common.
        let first = usize::from(matches!(task.kind, TaskKind::Segmentation { .. }));
        if !ours.is_empty() && !classes.iter().flatten().any(|&class| class >= first) {
            let remedy = match task.kind {
                TaskKind::Segmentation { .. } => "a palette.csv next to the masks names their values",
                _ => "rename the data's classes as the model's",
            };
            return fail(format!(
                "task `{name}`: model and data have no {} in common (model: {}; data: {}); {remedy}",
                if first == 1 { "class besides the background" } else { "class" },
                ours.join(", "),
                theirs.join(", ")
            ));
        }
        Ok(Self { at, classes })
    }

    fn label(&self, label: &Labels) -> Labels {
        match label {
            Labels::Class(class) => self.classes[*class].map_or(Labels::Missing, Labels::Class),
            Labels::MultiLabel(cells) => Labels::MultiLabel(self.cells(cells, None)),
            other => other.clone(),
        }
    }

    /// Cells in the order of the model, as many as are needed for the last one that is known.
    fn cells<T: Copy>(&self, cells: &[T], missing: T) -> Vec<T> {
        let count = self.classes.iter().flatten().max().map_or(0, |last| last + 1);
        let mut own = vec![missing; count];
        for (class, cell) in self.classes.iter().zip(cells) {
            if let Some(class) = class {
                own[*class] = *cell;
            }
        }
        own
    }

    /// The target of one row.
    fn target(&self, target: Target, kind: &TaskKind) -> Target {
        match target {
            Target::Class(labels) => Target::Class(
                labels
                    .into_iter()
                    .map(|label| usize::try_from(label).ok().and_then(|class| self.classes[class]))
                    .map(|class| class.map_or(Target::NO_CLASS, |class| class as i32))
                    .collect(),
            ),
            Target::MultiLabel(cells) => {
                let mut own = self.cells(&cells, f32::NAN);
                own.resize(kind.outputs(), f32::NAN);
                Target::MultiLabel(own)
            }
            Target::Mask(mut pixels) => {
                let class = |pixel: u8| self.classes.get(usize::from(pixel)).copied().flatten();
                pixels
                    .iter_mut()
                    .for_each(|pixel| *pixel = class(*pixel).map_or(Target::NO_PIXEL, |class| class as u8));
                Target::Mask(pixels)
            }
            other => other,
        }
    }

    fn facts(&self, facts: LabelFacts, kind: &TaskKind) -> LabelFacts {
        match facts {
            LabelFacts::Class(class) => self.classes[class].map_or(LabelFacts::Missing, LabelFacts::Class),
            LabelFacts::MultiLabel(cells) => {
                let mut own = self.cells(&cells, None);
                own.resize(kind.outputs(), None);
                LabelFacts::MultiLabel(own)
            }
            LabelFacts::Mask { pixels, unlabelled } => {
                let all: u64 = pixels.iter().sum::<u64>() + unlabelled;
                let mut own = self.cells(&pixels, 0);
                own.resize(kind.outputs(), 0);
                LabelFacts::Mask { unlabelled: all - own.iter().sum::<u64>(), pixels: own }
            }
            other => other,
        }
    }
}

fn names_of(kind: &TaskKind) -> &'static str {
    if matches!(kind, TaskKind::MultiLabel { .. }) { "labels" } else { "classes" }
}

fn described(task: &Task) -> String {
    match &task.kind {
        TaskKind::Dense { unit } => format!("dense in `{unit}`"),
        kind if kind.classes().is_empty() => kind.name().to_owned(),
        kind => format!("{} of {}", kind.name(), kind.classes().join(", ")),
    }
}

fn listed(names: &[&String]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(|name| name.as_str()).collect();
    let more = names.len().saturating_sub(LISTED);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

impl Dataset for MatchedDataset {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row_name(&self, row: usize) -> String {
        self.inner.row_name(self.rows[row])
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        self.own_labels(self.rows[row])
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        self.inner.subset(self.rows[row])
    }

    fn row_notes(&self, row: usize) -> Option<&RowNotes> {
        self.inner.row_notes(self.rows[row])
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let Sample { image, targets } = self.inner.sample(self.rows[row], size)?;
        let mut targets: Vec<Option<Target>> = targets.into_iter().map(Some).collect();
        let own = self.schema.tasks.iter().zip(&self.columns).map(|(task, column)| {
            let target =
                column.as_ref().and_then(|column| Some(column.target(targets.get_mut(column.at)?.take()?, &task.kind)));
            target.unwrap_or_else(|| task.kind.missing(1, size.height, size.width))
        });
        let targets = own.collect();
        Ok(Sample { image, targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        self.inner.content_hash(self.rows[row])
    }

    fn facts(&self, row: usize, wanted: Wanted) -> Result<RowFacts, Error> {
        let RowFacts { content, fingerprint, labels } = self.inner.facts(self.rows[row], wanted)?;
        let own = self.schema.tasks.iter().zip(&self.columns).filter(|_| wanted.labels).map(|(task, column)| {
            let facts =
                column.as_ref().and_then(|column| Some(column.facts(labels.get(column.at)?.clone(), &task.kind)));
            facts.unwrap_or(LabelFacts::Missing)
        });
        Ok(RowFacts { content, fingerprint, labels: own.collect() })
    }

    fn files(&self) -> Vec<(&Path, &FileFacts)> {
        self.inner.files()
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        self.inner.native_size(self.rows[row])
    }

    fn skipped(&self) -> &[Skipped] {
        self.inner.skipped()
    }

    fn origins(&self) -> Vec<String> {
        self.inner.origins()
    }

    fn origin(&self, row: usize) -> usize {
        self.inner.origin(self.rows[row])
    }

    fn reading(&self) -> Reading {
        self.inner.reading()
    }
}
