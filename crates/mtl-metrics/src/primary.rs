//! Primary score of each kind of task, and the skill score that makes tasks comparable.

use mtl_task::TaskKind;

use crate::score::{Direction, Score};

/// Name of the primary score of a kind of task, which decides about early stopping and the best checkpoint: `accuracy`,
/// `label_accuracy`, `miou` or `rmse` (also for regression).
pub fn primary_score(kind: &TaskKind) -> &'static str {
    match kind {
        TaskKind::Classification { .. } => "accuracy",
        TaskKind::MultiLabel { .. } => "label_accuracy",
        TaskKind::Segmentation { .. } => "miou",
        TaskKind::Dense { .. } | TaskKind::Regression { .. } => "rmse",
    }
}

/// The scores with the primary one first; the others keep their order.
pub fn primary_first(kind: &TaskKind, mut scores: Vec<Score>) -> Vec<Score> {
    scores.sort_by_key(|score| score.name != primary_score(kind));
    scores
}

/// Skill score: the improvement over the baseline as a fraction of the improvement of a perfect prediction.
///
/// 0 is as good as the baseline, 1 is perfect, negative values are worse than the baseline. For scores with a maximum of 1
/// (higher is better) it is `(score - baseline) / (1 - baseline)`, for errors (lower is better) `1 - score / baseline`. The
/// denominators are at least 0.01 and 1e-6: with a nearly perfect baseline the ratio means little. The result is at most 1.
/// Below -1 (an error of twice the baseline's) it falls by only a millionth of the ratio's logarithm: of two bad predictions the
/// better one has the better skill, which early stopping and the choice of the best checkpoint need, but one bad task does not
/// outweigh the others. The direction is that of `score`.
pub fn skill_score(score: &Score, baseline: &Score) -> f64 {
    let skill = match score.direction {
        Direction::HigherIsBetter => (score.value - baseline.value) / (1.0 - baseline.value).max(0.01),
        Direction::LowerIsBetter => 1.0 - score.value / baseline.value.max(1e-6),
    };
    if skill < -1.0 { -1.0 - 1e-6 * (-skill).ln() } else { skill.min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetricSet;

    fn error(value: f64) -> Score {
        Score { name: "rmse".into(), value, unit: "m".into(), direction: Direction::LowerIsBetter, n: 1 }
    }

    #[test]
    fn skill_scores_by_hand() {
        let accuracy = |value| Score::fraction("accuracy", value, 1);
        for (score, baseline, expected) in [
            (accuracy(0.75), accuracy(0.5), 0.5),
            (accuracy(1.0), accuracy(0.5), 1.0),
            (accuracy(0.25), accuracy(0.5), -0.5),
            (accuracy(0.0), accuracy(0.875), -1.0 - 1e-6 * 7_f64.ln()),
            // 0.005 above a baseline of 0.995: the denominator is 0.01.
            (accuracy(1.0), accuracy(0.995), 0.5),
            (error(1.0), error(4.0), 0.75),
            (error(6.0), error(4.0), -0.5),
            (error(8.0), error(4.0), -1.0),
            (error(12.0), error(4.0), -1.0 - 1e-6 * 2_f64.ln()),
            (error(0.0), error(0.0), 1.0),
            (error(5e-7), error(0.0), 0.5),
        ] {
            let skill = skill_score(&score, &baseline);
            assert!((skill - expected).abs() < 1e-12, "{score:?} {baseline:?}: {skill}, not {expected}");
        }
        // The better of two predictions always has the better skill, however bad they are.
        let skills = [0.0, 3.9, 4.1, 7.9, 8.1, 1e3, 1e6, 1e9].map(|value| skill_score(&error(value), &error(4.0)));
        assert!(skills.windows(2).all(|pair| pair[0] > pair[1]), "{skills:?}");
    }

    #[test]
    fn the_primary_score_of_every_kind_is_one_of_its_scores_and_comes_first() {
        use crate::Prediction;
        use mtl_task::Target;
        let names = || vec!["a".to_owned(), "b".to_owned()];
        for (kind, truth, predicted) in [
            (TaskKind::Classification { classes: names() }, Target::Class(vec![0, 1]), Prediction::Class(vec![0, 1])),
            (
                TaskKind::MultiLabel { labels: names() },
                Target::MultiLabel(vec![1.0, 0.0]),
                Prediction::MultiLabel(vec![true, false]),
            ),
            (TaskKind::Segmentation { classes: names() }, Target::Mask(vec![0, 1]), Prediction::Mask(vec![0, 1])),
            (TaskKind::Dense { unit: "m".into() }, Target::Dense(vec![1.0]), Prediction::Dense(vec![2.0])),
            (
                TaskKind::Regression { unit: "kg".into() },
                Target::Value(vec![1.0, 2.0]),
                Prediction::Value(vec![2.0, 2.0]),
            ),
        ] {
            let mut metrics = MetricSet::new(&kind);
            metrics.add(&truth, &predicted, 1).unwrap();
            let mut scores = metrics.scores();
            scores.reverse();
            let others: Vec<Score> =
                scores.iter().filter(|score| score.name != primary_score(&kind)).cloned().collect();
            let sorted = primary_first(&kind, scores);
            assert_eq!(sorted[0].name, primary_score(&kind));
            assert_eq!(sorted[1..], others);
        }
    }
}
