//! Baseline: the best constant prediction, from the labels of the training split.
//!
//! | kind of task | constant |
//! |---|---|
//! | classification | the most frequent class (the first one on a tie) |
//! | multi-label | the more frequent value of each label (no on a tie or without labels) |
//! | segmentation | background everywhere |
//! | dense | the mean of all labelled pixels |
//!
//! Its scores come from the same accumulators as the model's: add the output of [`Baseline::predict`] to a
//! [`crate::MetricSet`].

use mtl_task::{Target, TaskKind};

use crate::Error;
use crate::metric_set::{Prediction, kind_of_target};
use crate::multi_label::check_binary;

/// Counts of training labels, and the constant prediction derived from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    kind: TaskKind,
    /// Classification: count of each class. Multi-label: count of yes of each label.
    yes: Vec<u64>,
    /// Multi-label: count of no of each label.
    no: Vec<u64>,
    sum: f64,
    n: u64,
}

impl Baseline {
    /// A baseline without labels.
    pub fn new(kind: &TaskKind) -> Self {
        let outputs = kind.outputs();
        Self { kind: kind.clone(), yes: vec![0; outputs], no: vec![0; outputs], sum: 0.0, n: 0 }
    }

    /// Counts labels. They must be those of the training split: counts of the test split would leak its labels.
    ///
    /// # Errors
    /// A target of another kind, a class outside the range, a label that is neither 0, 1 nor NaN, an infinite value.
    pub fn learn(&mut self, train: &Target) -> Result<(), Error> {
        self.check_kind(train)?;
        match train {
            Target::Class(labels) => {
                let classes = self.yes.len();
                let mut found = vec![0u64; classes];
                for (index, &label) in labels.iter().enumerate().filter(|&(_, &label)| label != Target::NO_CLASS) {
                    let count = usize::try_from(label)
                        .ok()
                        .and_then(|class| found.get_mut(class))
                        .ok_or(Error::Class { what: "label", index, value: i64::from(label), classes })?;
                    *count += 1;
                }
                self.yes.iter_mut().zip(found).for_each(|(count, found)| *count += found);
            }
            Target::MultiLabel(values) => {
                let labels = self.yes.len();
                crate::error::divide(values.len(), labels, "labels")?;
                check_binary(values)?;
                for (cell, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    let counts = if value == 1.0 { &mut self.yes } else { &mut self.no };
                    counts[cell % labels] += 1;
                }
            }
            Target::Mask(_) => {}
            Target::Dense(values) => {
                if let Some(index) = values.iter().position(|value| value.is_infinite()) {
                    let hint = "labels are finite, or NaN where missing";
                    return Err(Error::NonFinite { what: "label", index, value: values[index], hint });
                }
                self.sum += values.iter().filter(|value| !value.is_nan()).map(|&value| f64::from(value)).sum::<f64>();
            }
        }
        self.n += train.present() as u64;
        Ok(())
    }

    /// The constant prediction, in the shape of `like`; `None` without training labels.
    ///
    /// # Errors
    /// A target of another kind.
    pub fn predict(&self, like: &Target) -> Result<Option<Prediction>, Error> {
        self.check_kind(like)?;
        if self.n == 0 {
            return Ok(None);
        }
        Ok(Some(match like {
            Target::Class(labels) => Prediction::Class(vec![self.majority() as u32; labels.len()]),
            Target::MultiLabel(values) => {
                let answers = self.yes.iter().zip(&self.no).map(|(yes, no)| yes > no);
                Prediction::MultiLabel(answers.cycle().take(values.len()).collect())
            }
            Target::Mask(pixels) => Prediction::Mask(vec![0; pixels.len()]),
            Target::Dense(values) => Prediction::Dense(vec![self.mean() as f32; values.len()]),
        }))
    }

    /// Description for tables: ``always `rust` ``; `None` without training labels.
    pub fn describe(&self) -> Option<String> {
        (self.n > 0).then(|| match &self.kind {
            TaskKind::Classification { classes } => {
                format!("always `{}`", classes.get(self.majority()).map_or("", String::as_str))
            }
            TaskKind::MultiLabel { .. } => "the more frequent value of each label".to_owned(),
            TaskKind::Segmentation { .. } => "all background".to_owned(),
            TaskKind::Dense { unit } => format!("always {:.3} {unit}", self.mean()),
        })
    }

    fn majority(&self) -> usize {
        (0..self.yes.len()).rev().max_by_key(|&class| self.yes[class]).unwrap_or(0)
    }

    fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }

    fn check_kind(&self, target: &Target) -> Result<(), Error> {
        let (expected, found) = (self.kind.name(), kind_of_target(target));
        if expected == found { Ok(()) } else { Err(Error::Kind { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetricSet;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("c{i}")).collect()
    }

    fn score(kind: &TaskKind, train: &[Target], test: &Target, images: usize, name: &str) -> f64 {
        let mut baseline = Baseline::new(kind);
        train.iter().for_each(|target| baseline.learn(target).unwrap());
        let mut scores = MetricSet::new(kind);
        scores.add(test, &baseline.predict(test).unwrap().unwrap(), images).unwrap();
        scores.scores().into_iter().find(|score| score.name == name).unwrap().value
    }

    #[test]
    fn constants_from_train_are_scored_on_test() {
        // Train: class 2 twice, class 1 twice, so 1 wins as the first of equals; one of four test labels is 1.
        let kind = TaskKind::Classification { classes: names(3) };
        let train = [Target::Class(vec![2, 2, 0, -1]), Target::Class(vec![1, 1])];
        let test = Target::Class(vec![2, 2, 2, 1, -1]);
        assert_eq!(score(&kind, &train, &test, 5, "accuracy"), 0.25);
        assert_eq!(score(&kind, &train, &test, 5, "balanced_accuracy"), 0.5);

        let kind = TaskKind::MultiLabel { labels: names(2) };
        let train = [Target::MultiLabel(vec![1.0, 0.0, 1.0, 1.0, f32::NAN, 0.0])];
        let test = Target::MultiLabel(vec![1.0, 1.0, 0.0, 0.0]);
        assert_eq!(score(&kind, &train, &test, 2, "label_accuracy"), 0.5);

        // All background, though more pixels of train are foreground.
        let kind = TaskKind::Segmentation { classes: names(2) };
        let test = Target::Mask(vec![0, 0, 0, 1]);
        assert_eq!(score(&kind, &[Target::Mask(vec![1, 1, 1, 0])], &test, 1, "pixel_accuracy"), 0.75);
        assert_eq!(score(&kind, &[Target::Mask(vec![1, 1, 1, 0])], &test, 1, "dice/c1"), 0.0);

        let kind = TaskKind::Dense { unit: "m".into() };
        let train = [Target::Dense(vec![1.0, f32::NAN]), Target::Dense(vec![3.0, 5.0])];
        assert_eq!(score(&kind, &train, &Target::Dense(vec![4.0, 0.0]), 1, "mae"), 2.0);
    }

    #[test]
    fn describes_its_prediction() {
        let mut baseline = Baseline::new(&TaskKind::Classification { classes: names(3) });
        assert_eq!(baseline.describe(), None);
        baseline.learn(&Target::Class(vec![1, 1, 0])).unwrap();
        assert_eq!(baseline.describe().unwrap(), "always `c1`");
    }

    #[test]
    fn no_label_no_baseline_and_wrong_input_is_an_error() {
        let mut baseline = Baseline::new(&TaskKind::Classification { classes: names(2) });
        baseline.learn(&Target::Class(vec![-1, -1])).unwrap();
        assert_eq!(baseline.predict(&Target::Class(vec![0])), Ok(None));
        let before = baseline.clone();
        assert!(baseline.learn(&Target::Class(vec![0, 2])).is_err());
        assert!(baseline.learn(&Target::Dense(vec![0.0])).is_err());
        assert!(baseline.predict(&Target::Mask(vec![0])).is_err());
        assert_eq!(baseline, before);
        assert!(
            Baseline::new(&TaskKind::MultiLabel { labels: names(2) }).learn(&Target::MultiLabel(vec![1.0])).is_err()
        );
        assert!(
            Baseline::new(&TaskKind::Dense { unit: "m".into() }).learn(&Target::Dense(vec![f32::INFINITY])).is_err()
        );
    }
}
