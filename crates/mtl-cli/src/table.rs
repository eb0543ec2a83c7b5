//! Scores as one readable table, and label counts.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use mtl_metrics::Score;
use mtl_train::event::{LabelCount, TaskScores};

/// A line above, below, and under the names of the columns.
pub const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// Classes of a task that have a line of their own; all are in the JSON.
const CLASSES: usize = 8;

/// One line a score: the model's next to the trivial baseline's, with the direction in which it is better.
///
/// Of the scores of single classes only Dice is shown: the others (IoU, mean over images) rank classes alike.
pub fn scores(tasks: &[TaskScores]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["task", "score", "model", "trivial", "labels", "trivial answer"]);
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for task in tasks {
        let (single, whole): (Vec<&Score>, Vec<&Score>) =
            task.scores.iter().partition(|score| score.name.contains('/'));
        let classes = single.into_iter().filter(|score| score.name.starts_with("dice/")).take(CLASSES);
        for (index, score) in whole.into_iter().chain(classes).enumerate() {
            let baseline = task.baseline.iter().find(|other| other.name == score.name);
            let first = index == 0;
            table.add_row([
                if first { task.task.clone() } else { String::new() },
                name(score),
                value(score),
                baseline.map_or_else(|| "-".to_owned(), value),
                score.n.to_string(),
                if first { task.baseline_words.clone() } else { String::new() },
            ]);
        }
    }
    table.trim_fmt()
}

/// Labels of each task on each side of the split, one line a task.
pub fn labels(tasks: &[LabelCount]) -> Vec<String> {
    let width = |of: fn(&LabelCount) -> &str| tasks.iter().map(|task| of(task).chars().count()).max().unwrap_or(0);
    let (names, kinds) = (width(|task| &task.task), width(|task| task.kind));
    tasks
        .iter()
        .map(|task| {
            let [train, validation, test] = [0, 1, 2].map(|part| {
                let (labelled, images) = (task.labelled[part], task.images[part]);
                if labelled == images { labelled.to_string() } else { format!("{labelled} of {images}") }
            });
            format!(
                "{:names$}  {:kinds$}  labels: {train} train, {validation} validation, {test} test",
                task.task, task.kind
            )
        })
        .collect()
}

/// With direction, and the unit if it is no share.
fn name(score: &Score) -> String {
    let unit = match score.unit.as_ref() {
        Score::FRACTION | "" => String::new(),
        unit => format!(" ({unit})"),
    };
    format!("{} {}{unit}", score.name, score.direction.arrow())
}

fn value(score: &Score) -> String {
    match score.unit.as_ref() {
        Score::FRACTION => format!("{:.3}", score.value),
        "dB" => format!("{:.2}", score.value),
        _ => format!("{:.4}", score.value),
    }
}

#[cfg(test)]
mod tests {
    use mtl_metrics::Direction;

    use super::*;

    #[test]
    fn a_table_has_a_line_a_score_and_no_control_characters() {
        let rmse =
            |value| Score { name: "rmse".into(), value, unit: "m".into(), direction: Direction::LowerIsBetter, n: 9 };
        let tasks = [TaskScores {
            task: "depth".into(),
            kind: "dense",
            scores: vec![
                rmse(0.25),
                Score::fraction("dice/a", 0.1, 9),
                Score::fraction("iou/a", 0.1, 9),
                Score::fraction("other", 0.5, 9),
            ],
            baseline: vec![rmse(0.5)],
            baseline_words: "the mean".into(),
        }];
        let text = scores(&tasks);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        for part in ["depth", "rmse ↓ (m)", "0.2500", "0.5000", "the mean"] {
            assert!(line("rmse").contains(part), "{text}");
        }
        assert!(line("other").contains("0.500") && line("other").contains(" - "), "{text}");
        assert!(text.contains("dice/a") && !text.contains("iou/a"), "{text}");
        assert!(text.find("other") < text.find("dice/a"), "single classes come last: {text}");
    }

    #[test]
    fn partly_labelled_tasks_say_so() {
        let count = LabelCount { task: "lesion".into(), kind: "segmentation", labelled: [3, 1, 2], images: [9, 1, 2] };
        assert_eq!(labels(&[count]), ["lesion  segmentation  labels: 3 of 9 train, 1 validation, 2 test"]);
    }
}
