//! Accumulator of one task of any kind.

use mtl_task::{Target, TaskKind};

use crate::{Confusion, Dense, Error, MaskConfusion, MultiLabel, Regression, Score};

/// Predictions of a model for one batch of one task, on the host, in the layout of the [`Target`] of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// `[B]` class indices.
    Class(Vec<u32>),
    /// `[B, labels]` yes or no.
    MultiLabel(Vec<bool>),
    /// `[B, H, W]` class indices.
    Mask(Vec<u8>),
    /// `[B, H, W]` values in the unit of the labels.
    Dense(Vec<f32>),
    /// `[B]` values in the unit of the labels.
    Value(Vec<f32>),
}

/// Scores of one task of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricSet {
    /// For [`TaskKind::Classification`].
    Classification(Confusion),
    /// For [`TaskKind::MultiLabel`].
    MultiLabel(MultiLabel),
    /// For [`TaskKind::Segmentation`].
    Segmentation(MaskConfusion),
    /// For [`TaskKind::Dense`].
    Dense(Dense),
    /// For [`TaskKind::Regression`].
    Regression(Regression),
}

impl MetricSet {
    /// The empty accumulator for a kind of task.
    pub fn new(kind: &TaskKind) -> Self {
        match kind {
            TaskKind::Classification { classes } => Self::Classification(Confusion::new(classes.len())),
            TaskKind::MultiLabel { labels } => Self::MultiLabel(MultiLabel::new(labels.len())),
            TaskKind::Segmentation { classes } => Self::Segmentation(MaskConfusion::new(classes)),
            TaskKind::Dense { unit } => Self::Dense(Dense::new(unit)),
            TaskKind::Regression { unit } => Self::Regression(Regression::new(unit)),
        }
    }

    /// Adds one batch of `images` images.
    ///
    /// # Errors
    /// A target or prediction of another kind; the errors of the accumulator of this kind.
    pub fn add(&mut self, truth: &Target, predicted: &Prediction, images: usize) -> Result<(), Error> {
        match (&mut *self, truth, predicted) {
            (Self::Classification(scores), Target::Class(truth), Prediction::Class(predicted)) => {
                scores.add(truth, predicted)
            }
            (Self::MultiLabel(scores), Target::MultiLabel(truth), Prediction::MultiLabel(predicted)) => {
                scores.add(truth, predicted)
            }
            (Self::Segmentation(scores), Target::Mask(truth), Prediction::Mask(predicted)) => {
                scores.add(truth, predicted, images)
            }
            (Self::Dense(scores), Target::Dense(truth), Prediction::Dense(predicted)) => scores.add(truth, predicted),
            (Self::Regression(scores), Target::Value(truth), Prediction::Value(predicted)) => {
                scores.add(truth, predicted)
            }
            _ => {
                let expected = self.kind();
                let found = if expected == kind_of_target(truth) {
                    match predicted {
                        Prediction::Class(_) => "classes as prediction",
                        Prediction::MultiLabel(_) => "yes/no labels as prediction",
                        Prediction::Mask(_) => "a mask as prediction",
                        Prediction::Dense(_) => "dense values as prediction",
                        Prediction::Value(_) => "values as prediction",
                    }
                } else {
                    kind_of_target(truth)
                };
                Err(Error::Kind { expected, found })
            }
        }
    }

    /// Adds another part of the data.
    ///
    /// # Errors
    /// Accumulators of different tasks.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        match (&mut *self, other) {
            (Self::Classification(mine), Self::Classification(theirs)) => mine.merge(theirs),
            (Self::MultiLabel(mine), Self::MultiLabel(theirs)) => mine.merge(theirs),
            (Self::Segmentation(mine), Self::Segmentation(theirs)) => mine.merge(theirs),
            (Self::Dense(mine), Self::Dense(theirs)) => mine.merge(theirs),
            (Self::Regression(mine), Self::Regression(theirs)) => mine.merge(theirs),
            _ => Err(Error::Merge { left: self.kind().to_owned(), right: other.kind().to_owned() }),
        }
    }

    /// The defined scores, the primary score first.
    pub fn scores(&self) -> Vec<Score> {
        match self {
            Self::Classification(scores) => scores.scores(),
            Self::MultiLabel(scores) => scores.scores(),
            Self::Segmentation(scores) => scores.scores(),
            Self::Dense(scores) => scores.scores(),
            Self::Regression(scores) => scores.scores(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Classification(_) => "classification",
            Self::MultiLabel(_) => "multi_label",
            Self::Segmentation(_) => "segmentation",
            Self::Dense(_) => "dense",
            Self::Regression(_) => "regression",
        }
    }
}

/// The kind of task of a target, as in [`TaskKind::name`].
pub(crate) fn kind_of_target(target: &Target) -> &'static str {
    match target {
        Target::Class(_) => "classification",
        Target::MultiLabel(_) => "multi_label",
        Target::Mask(_) => "segmentation",
        Target::Dense(_) => "dense",
        Target::Value(_) => "regression",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<(TaskKind, Target, Prediction, &'static str)> {
        let names = || vec!["a".to_owned(), "b".to_owned()];
        vec![
            (
                TaskKind::Classification { classes: names() },
                Target::Class(vec![0, 1]),
                Prediction::Class(vec![0, 1]),
                "accuracy",
            ),
            (
                TaskKind::MultiLabel { labels: names() },
                Target::MultiLabel(vec![1.0, 0.0, 0.0, 1.0]),
                Prediction::MultiLabel(vec![true, false, false, true]),
                "label_accuracy",
            ),
            (
                TaskKind::Segmentation { classes: names() },
                Target::Mask(vec![0, 1, 1, 0]),
                Prediction::Mask(vec![0, 1, 1, 0]),
                "miou",
            ),
            (
                TaskKind::Dense { unit: "m".into() },
                Target::Dense(vec![1.0; 4]),
                Prediction::Dense(vec![1.0; 4]),
                "rmse",
            ),
            (
                TaskKind::Regression { unit: "kg".into() },
                Target::Value(vec![1.0, 2.0]),
                Prediction::Value(vec![1.0, 2.0]),
                "rmse",
            ),
        ]
    }

    #[test]
    fn every_kind_of_task_has_its_accumulator_and_refuses_the_others() {
        for (kind, truth, predicted, first) in cases() {
            let mut scores = MetricSet::new(&kind);
            assert!(scores.scores().is_empty());
            scores.add(&truth, &predicted, 2).unwrap();
            let perfect = if first == "rmse" { 0.0 } else { 1.0 };
            assert_eq!((scores.scores()[0].name.as_str(), scores.scores()[0].value), (first, perfect));
            for (other, wrong_truth, wrong_predicted, _) in cases().into_iter().filter(|(other, ..)| *other != kind) {
                assert!(matches!(scores.add(&truth, &wrong_predicted, 2), Err(Error::Kind { .. })));
                assert!(matches!(scores.add(&wrong_truth, &predicted, 2), Err(Error::Kind { .. })));
                assert!(matches!(scores.merge(&MetricSet::new(&other)), Err(Error::Merge { .. })));
            }
            let mut merged = MetricSet::new(&kind);
            merged.merge(&scores).unwrap();
            assert_eq!(merged, scores);
        }
    }
}
