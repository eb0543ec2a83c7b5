//! Regression (one number per image): RMSE, MAE, R2, and the accuracy of rounded predictions for grades.
//!
//! `RMSE = sqrt(mean (p - t)^2)` and `MAE = mean |p - t|` in the unit of the labels;
//! `R2 = 1 - sum (p - t)^2 / sum (t - mean t)^2`: 1 is perfect, 0 is as good as the mean of the scored labels, and worse
//! predictions are negative without bound.

use std::collections::BTreeSet;

use crate::error::{Error, finite_pair, same_length};
use crate::score::{Direction, Score};

/// Labels with more different whole numbers than these are measured, and rounding says nothing.
const MAX_GRADES: usize = 20;

/// Sums of errors. `n` of its scores is the number of labelled images.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    unit: String,
    n: u64,
    /// Mean of the labels, and the sum of their squared distances to it.
    mean: f64,
    spread: f64,
    square: f64,
    absolute: f64,
    /// The different labels while they are few whole numbers.
    grades: Option<BTreeSet<i64>>,
    /// Predictions that round to the label.
    exact: u64,
}

impl Regression {
    /// Empty sums for labels in `unit`.
    pub fn new(unit: impl Into<String>) -> Self {
        let grades = Some(BTreeSet::new());
        Self { unit: unit.into(), n: 0, mean: 0.0, spread: 0.0, square: 0.0, absolute: 0.0, grades, exact: 0 }
    }

    /// Adds one batch. `truth` is NaN where missing; the prediction is ignored there.
    ///
    /// # Errors
    /// Slices of different lengths; an infinite label; a NaN or infinite prediction for a label that is present.
    pub fn add(&mut self, truth: &[f32], predicted: &[f32]) -> Result<(), Error> {
        same_length(truth.len(), predicted.len())?;
        let mut pairs = Vec::with_capacity(truth.len());
        for (index, (&truth, &predicted)) in truth.iter().zip(predicted).enumerate() {
            pairs.extend(finite_pair(index, truth, predicted)?);
        }
        for (truth, predicted) in pairs {
            self.n += 1;
            let before = truth - self.mean;
            self.mean += before / self.n as f64;
            self.spread += before * (truth - self.mean);
            self.square += (predicted - truth).powi(2);
            self.absolute += (predicted - truth).abs();
            self.exact += u64::from(predicted.round() == truth);
            if let Some(grades) = &mut self.grades {
                grades.insert(truth as i64);
                if truth.fract() != 0.0 || grades.len() > MAX_GRADES {
                    self.grades = None;
                }
            }
        }
        Ok(())
    }

    /// Adds the sums of another part of the data.
    ///
    /// # Errors
    /// Another unit.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.unit != other.unit {
            let describe = |scores: &Self| format!("values in `{}`", scores.unit);
            return Err(Error::Merge { left: describe(self), right: describe(other) });
        }
        let (mine, theirs) = (self.n as f64, other.n as f64);
        if other.n > 0 {
            let apart = other.mean - self.mean;
            self.mean += apart * theirs / (mine + theirs);
            self.spread += other.spread + apart * apart * mine * theirs / (mine + theirs);
        }
        self.n += other.n;
        self.square += other.square;
        self.absolute += other.absolute;
        self.exact += other.exact;
        let grades = self.grades.take().zip(other.grades.as_ref());
        self.grades = grades.map(|(mine, theirs)| &mine | theirs).filter(|all| all.len() <= MAX_GRADES);
        Ok(())
    }

    /// Root mean squared error, in the unit of the labels.
    pub fn rmse(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.square / self.n as f64).sqrt())
    }

    /// Mean absolute error, in the unit of the labels.
    pub fn mae(&self) -> Option<f64> {
        (self.n > 0).then(|| self.absolute / self.n as f64)
    }

    /// Coefficient of determination; `None` if all labels are equal.
    pub fn r2(&self) -> Option<f64> {
        (self.spread > 0.0).then(|| 1.0 - self.square / self.spread)
    }

    /// Fraction of predictions that round to the label; `None` unless the labels are whole numbers, at most 20 different ones.
    pub fn rounded_accuracy(&self) -> Option<f64> {
        self.grades.as_ref().filter(|_| self.n > 0).map(|_| self.exact as f64 / self.n as f64)
    }

    /// `rmse`, `mae`, `r2`, `rounded_accuracy`; those that are defined.
    pub fn scores(&self) -> Vec<Score> {
        let n = self.n as usize;
        let error = |name: &str, value: f64| Score {
            name: name.to_owned(),
            value,
            unit: self.unit.clone().into(),
            direction: Direction::LowerIsBetter,
            n,
        };
        let r2 = |value| Score { unit: "".into(), ..Score::fraction("r2", value, n) };
        let scores = [
            self.rmse().map(|value| error("rmse", value)),
            self.mae().map(|value| error("mae", value)),
            self.r2().map(r2),
            self.rounded_accuracy().map(|value| Score::fraction("rounded_accuracy", value, n)),
        ];
        scores.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [f32; 5] = [1.0, 2.0, f32::NAN, 3.0, 6.0];
    const PREDICTED: [f32; 5] = [1.25, 2.0, f32::NAN, 1.0, 5.5];

    fn filled() -> Regression {
        let mut scores = Regression::new("kg");
        scores.add(&TRUTH, &PREDICTED).unwrap();
        scores
    }

    #[test]
    fn by_hand() {
        // Errors 0.25, 0, -2, -0.5: squares 4.3125, absolute 2.75. Labels 1, 2, 3, 6 around 3: 4 + 1 + 0 + 9 = 14.
        let expected = [(4.3125_f64 / 4.0).sqrt(), 2.75 / 4.0, 1.0 - 4.3125 / 14.0, 0.75];
        let scores = filled().scores();
        let names: Vec<_> = scores.iter().map(|score| score.name.as_str()).collect();
        assert_eq!(names, ["rmse", "mae", "r2", "rounded_accuracy"]);
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score.value - expected).abs() < 1e-12, "{score:?}, not {expected}");
            assert_eq!(score.n, 4);
        }
        assert_eq!((scores[0].unit.as_ref(), scores[2].unit.as_ref()), ("kg", ""));
        assert_eq!([0, 2].map(|at| scores[at].direction), [Direction::LowerIsBetter, Direction::HigherIsBetter]);
    }

    #[test]
    fn r2_keeps_its_digits_far_from_zero_and_falls_below_zero() {
        let mut scores = Regression::new("");
        scores.add(&[1e6, 1e6 + 1.0, 1e6 + 2.0], &[1e6 + 1.0; 3]).unwrap();
        assert!(scores.r2().unwrap().abs() < 1e-9, "the mean: {:?}", scores.r2());
        scores.add(&[1e6], &[1e6 + 8.0]).unwrap();
        assert!(scores.r2().unwrap() < -20.0);
    }

    #[test]
    fn undefined_scores_are_absent() {
        assert!(Regression::new("kg").scores().is_empty());
        let mut scores = Regression::new("kg");
        scores.add(&[0.5, 0.5], &[0.5, 1.0]).unwrap();
        assert_eq!((scores.r2(), scores.rounded_accuracy()), (None, None));
        let mut measured = Regression::new("g");
        measured.add(&(0..30).map(|i| i as f32).collect::<Vec<_>>(), &[1.0; 30]).unwrap();
        assert_eq!(measured.rounded_accuracy(), None, "30 different numbers are no grades");
    }

    #[test]
    fn merging_equals_streaming() {
        let mut merged = Regression::new("kg");
        for part in [0..2, 2..2, 2..5] {
            let mut scores = Regression::new("kg");
            scores.add(&TRUTH[part.clone()], &PREDICTED[part]).unwrap();
            merged.merge(&scores).unwrap();
        }
        assert_eq!(merged, filled());
        assert!(merged.merge(&Regression::new("g")).is_err());
    }

    #[test]
    fn wrong_input_is_an_error_and_changes_nothing() {
        let mut scores = Regression::new("kg");
        assert!(scores.add(&[0.0], &[]).is_err());
        assert!(scores.add(&[0.0, f32::INFINITY], &[1.0, 0.0]).is_err());
        assert!(matches!(scores.add(&[0.0, 1.0], &[1.0, f32::NAN]), Err(Error::NonFinite { index: 1, .. })));
        assert_eq!(scores, Regression::new("kg"));
    }
}
