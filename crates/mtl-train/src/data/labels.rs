//! Label counts of the tasks per subset.

use mtl_data::{Dataset, Labels, split::Splits};
use mtl_task::Task;

use crate::event::LabelCount;

/// Labels and images of each task in each subset.
pub(super) fn count_labels(
    dataset: &dyn Dataset,
    columns: &[usize],
    tasks: &[Task],
    split: &Splits,
) -> Vec<LabelCount> {
    let subsets = [&split.train, &split.validation, &split.test];
    let mut counts: Vec<LabelCount> = tasks
        .iter()
        .map(|task| LabelCount {
            task: task.name.clone(),
            kind: task.kind.name(),
            labelled: [0; 3],
            images: subsets.map(Vec::len),
        })
        .collect();
    for (subset, rows) in subsets.iter().enumerate() {
        for &row in *rows {
            let labels = dataset.labels(row);
            for (count, &column) in counts.iter_mut().zip(columns) {
                count.labelled[subset] += usize::from(is_labelled(&labels[column]));
            }
        }
    }
    counts
}

/// Whether there is any label.
pub(crate) fn is_labelled(labels: &Labels) -> bool {
    match labels {
        Labels::Missing => false,
        Labels::MultiLabel(cells) => cells.iter().any(Option::is_some),
        Labels::Class(_) | Labels::Value(_) | Labels::Pixels => true,
    }
}
