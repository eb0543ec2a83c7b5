//! What makes good scores unlikely or scores misleading: rare and unbalanced classes, subsets without labels, constant masks.
//!
//! The same sentences are part of a data check and of the start of a run.

use std::collections::BTreeMap;

use mtl_task::{Task, TaskKind};

use crate::dataset::{Dataset, Subset};
use crate::facts::LabelFacts;
use crate::inventory::Inventory;
use crate::split::Splits;

/// Classes with fewer training images are named.
const FEW: usize = 5;
/// Training images of the largest class for each one of the smallest, above which a task is called unbalanced.
const UNBALANCED: usize = 20;
/// Classes that are named in a sentence.
const LISTED: usize = 8;

/// One sentence per concern about the tasks at `columns`, with counts. Rows are in the subsets of `split`; without one, in the
/// data set's own, where rows without a subset count as training. Needs the labels in `inventory`
/// ([`crate::Wanted::labels`]).
pub fn concerns(
    dataset: &dyn Dataset,
    inventory: &Inventory,
    columns: &[usize],
    split: Option<&Splits>,
) -> Vec<String> {
    let subsets: [Vec<usize>; 3] = match split {
        Some(split) => split.subsets().map(<[usize]>::to_vec),
        None => [Subset::Train, Subset::Validation, Subset::Test].map(|subset| {
            let of_row = |row: &usize| dataset.subset(*row).unwrap_or(Subset::Train) == subset;
            (0..dataset.len()).filter(of_row).collect()
        }),
    };
    let mut said = Vec::new();
    for &column in columns {
        let task = &dataset.schema().tasks[column];
        let of_task = OfTask { task, column, inventory };
        said.extend(of_task.rare(&subsets[0]));
        said.extend(of_task.unbalanced(&subsets[0]));
        said.extend(of_task.unlabelled(&subsets));
        said.extend(of_task.constant_masks());
    }
    said
}

struct OfTask<'a> {
    task: &'a Task,
    column: usize,
    inventory: &'a Inventory,
}

impl OfTask<'_> {
    fn label(&self, row: usize) -> Option<&LabelFacts> {
        self.inventory.rows().get(row)?.labels.get(self.column)
    }

    /// Images with each class: of it, with "yes", or with a pixel of it.
    fn images(&self, rows: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; self.task.kind.classes().len()];
        let mut add = |class: usize| {
            if let Some(count) = counts.get_mut(class) {
                *count += 1;
            }
        };
        for label in rows.iter().filter_map(|&row| self.label(row)) {
            match label {
                LabelFacts::Class(class) => add(*class),
                LabelFacts::MultiLabel(cells) => {
                    (0..cells.len()).filter(|&at| cells[at] == Some(true)).for_each(&mut add);
                }
                LabelFacts::Mask { pixels, .. } => (0..pixels.len()).filter(|&at| pixels[at] > 0).for_each(&mut add),
                _ => {}
            }
        }
        counts
    }

    fn rare(&self, train: &[usize]) -> Option<String> {
        let names = self.task.kind.classes();
        let mut rare: Vec<(usize, &String)> =
            self.images(train).into_iter().zip(names).filter(|(count, _)| (1..FEW).contains(count)).collect();
        if rare.is_empty() {
            return None;
        }
        rare.sort();
        let shown: Vec<String> = rare.iter().take(LISTED).map(|(count, name)| format!("{name} {count}")).collect();
        let more = rare.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = if matches!(self.task.kind, TaskKind::MultiLabel { .. }) { "labels" } else { "classes" };
        Some(format!(
            "task `{}`: {} of {} {what} {} fewer than {FEW} training images ({}{more}): hardly enough to learn from",
            self.task.name,
            rare.len(),
            names.len(),
            if rare.len() == 1 { "has" } else { "have" },
            shown.join(", ")
        ))
    }

    fn unbalanced(&self, train: &[usize]) -> Option<String> {
        let TaskKind::Classification { classes } = &self.task.kind else { return None };
        let counts: Vec<(usize, &String)> =
            self.images(train).into_iter().zip(classes).filter(|(count, _)| *count > 0).collect();
        let ((most, large), (least, small)) =
            (counts.iter().max_by_key(|(count, _)| *count)?, counts.iter().min_by_key(|(count, _)| *count)?);
        (*most > UNBALANCED * least).then(|| {
            format!(
                "task `{}` is unbalanced: {most} training images of `{large}` and {least} of `{small}`; balanced accuracy and \
                 macro F1 show what accuracy hides",
                self.task.name
            )
        })
    }

    fn unlabelled(&self, subsets: &[Vec<usize>; 3]) -> Option<String> {
        let effects = [
            (Subset::Train, "it cannot be learned"),
            (Subset::Validation, "it does not count for early stopping and the best weights"),
            (Subset::Test, "it is not scored"),
        ];
        let empty = |rows: &Vec<usize>| !rows.is_empty() && self.inventory.labelled(self.column, rows) == 0;
        let parts: Vec<String> = subsets
            .iter()
            .zip(effects)
            .filter(|(rows, _)| empty(rows))
            .map(|(rows, (subset, effect))| {
                let count = rows.len();
                let rows = if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
                format!("no label in the {} subset ({rows}): {effect}", subset.name())
            })
            .collect();
        (!parts.is_empty()).then(|| format!("task `{}` has {}", self.task.name, parts.join("; ")))
    }

    /// All masks of one class each.
    fn constant_masks(&self) -> Option<String> {
        let (mut empty, mut full) = (0, BTreeMap::<usize, usize>::new());
        for row in 0..self.inventory.rows().len() {
            let Some(LabelFacts::Mask { pixels, .. }) = self.label(row) else { continue };
            let mut present = (0..pixels.len()).filter(|&class| pixels[class] > 0);
            match (present.next(), present.next()) {
                (Some(0), None) => empty += 1,
                (Some(class), None) => *full.entry(class).or_default() += 1,
                (None, _) => {}
                (Some(_), Some(_)) => return None,
            }
        }
        let masks = empty + full.values().sum::<usize>();
        let names = self.task.kind.classes();
        let of: Vec<String> =
            full.iter().map(|(&class, count)| format!("{count} full of `{}`", names[class])).collect();
        let of: Vec<String> = (empty > 0).then(|| format!("{empty} empty")).into_iter().chain(of).collect();
        (masks > 0).then(|| {
            format!(
                "task `{}`: each of the {masks} masks is of one class only ({}): there are no outlines to learn; check what the \
                 mask values mean",
                self.task.name,
                of.join(", ")
            )
        })
    }
}
