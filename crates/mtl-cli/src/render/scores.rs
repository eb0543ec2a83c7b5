//! Scores and label counts of a run.

use mtl_metrics::Score;
use mtl_train::TaskScores;
use mtl_train::event::LabelCount;

use super::table::{bordered, columns};

/// Classes of a task with a line of their own; the JSON has all.
const CLASSES: usize = 8;

/// A table with one line per score: the model's and the baseline's, with the direction of improvement.
///
/// Of the scores per class only Dice is shown: the others (IoU, mean over images) rank classes alike.
pub fn scores(tasks: &[TaskScores]) -> String {
    let mut table = bordered(["task", "score", "model", "baseline", "labels", "baseline prediction"], 2..5);
    for task in tasks {
        let (single, whole): (Vec<&Score>, Vec<&Score>) =
            task.scores.iter().partition(|score| score.name.contains('/'));
        if task.scores.is_empty() {
            table.add_row([&*task.task, "not scored", "-", "-", "0", "no label on these images"]);
        }
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

/// Labels of each task in each subset, one line per task.
pub fn labels(tasks: &[LabelCount]) -> Vec<String> {
    columns(tasks.iter().map(|task| {
        let [train, validation, test] = [0, 1, 2].map(|subset| {
            let (labelled, images) = (task.labelled[subset], task.images[subset]);
            if labelled == images { labelled.to_string() } else { format!("{labelled} of {images}") }
        });
        let labels = format!("labels: {train} train, {validation} validation, {test} test");
        [task.task.clone(), task.kind.to_owned(), labels]
    }))
}

/// Name with its direction, and with its unit unless that is a fraction.
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
            kind: "dense".into(),
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
