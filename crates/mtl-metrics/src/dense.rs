//! Dense regression (depth, height): RMSE and MAE, pooled over all labelled pixels.
//!
//! `RMSE = sqrt(mean (p - t)^2)`, `MAE = mean |p - t|`, both in the unit of the labels.

use crate::error::{Error, same_length};
use crate::score::{Direction, Score};

/// Sums of errors. `n` of its scores is the number of labelled pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    unit: String,
    square: f64,
    absolute: f64,
    n: u64,
}

impl Dense {
    /// Empty sums for labels in `unit`.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), square: 0.0, absolute: 0.0, n: 0 }
    }

    /// Adds one batch. `truth` is NaN where missing; the prediction is ignored there.
    ///
    /// # Errors
    /// Slices of different lengths; an infinite label; a NaN or infinite prediction for a label that is present.
    pub fn add(&mut self, truth: &[f32], predicted: &[f32]) -> Result<(), Error> {
        same_length(truth.len(), predicted.len())?;
        let (mut square, mut absolute, mut n) = (0.0, 0.0, 0);
        for (index, (&truth, &predicted)) in truth.iter().zip(predicted).enumerate() {
            if truth.is_nan() {
                continue;
            }
            if truth.is_infinite() {
                let hint = "labels are finite, or NaN where missing";
                return Err(Error::NonFinite { what: "label", index, value: truth, hint });
            }
            if !predicted.is_finite() {
                let hint = "the model has diverged: lower the learning rate";
                return Err(Error::NonFinite { what: "prediction", index, value: predicted, hint });
            }
            let error = f64::from(predicted) - f64::from(truth);
            square += error * error;
            absolute += error.abs();
            n += 1;
        }
        self.square += square;
        self.absolute += absolute;
        self.n += n;
        Ok(())
    }

    /// Adds the sums of another part of the data.
    ///
    /// # Errors
    /// Another unit.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.unit != other.unit {
            let describe = |dense: &Self| format!("values in `{}`", dense.unit);
            return Err(Error::Merge { left: describe(self), right: describe(other) });
        }
        self.square += other.square;
        self.absolute += other.absolute;
        self.n += other.n;
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

    /// `rmse`, `mae`; empty without labels.
    pub fn scores(&self) -> Vec<Score> {
        [("rmse", self.rmse()), ("mae", self.mae())]
            .into_iter()
            .filter_map(|(name, value)| {
                Some(Score {
                    name: name.to_owned(),
                    value: value?,
                    unit: self.unit.clone().into(),
                    direction: Direction::LowerIsBetter,
                    n: self.n as usize,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Errors 0.5, 0, -2, 0.5: mean square 4.5/4, mean absolute 3/4. scikit-learn 1.9.1:
        // root_mean_squared_error([1, 2, 3, -1.5], [1.5, 2, 1, -1]) 1.0606601717798212, mean_absolute_error 0.75
        let mut dense = Dense::new("m");
        dense.add(&[1.0, 2.0, f32::NAN, 3.0, -1.5], &[1.5, 2.0, f32::NAN, 1.0, -1.0]).unwrap();
        assert!((dense.rmse().unwrap() - 1.0606601717798212).abs() < 1e-12);
        assert_eq!(dense.mae(), Some(0.75));
        for score in dense.scores() {
            assert_eq!((score.unit.as_ref(), score.direction, score.n), ("m", Direction::LowerIsBetter, 4));
        }
    }

    #[test]
    fn nothing_labelled_gives_no_score() {
        let mut dense = Dense::new("m");
        dense.add(&[f32::NAN; 3], &[0.0; 3]).unwrap();
        assert!(dense.scores().is_empty());
    }

    #[test]
    fn merging_equals_streaming() {
        // Numbers with few bits, so that the sums are exact in any order.
        let truth: Vec<f32> = (0..20).map(|i| if i % 3 == 0 { f32::NAN } else { i as f32 * 0.25 }).collect();
        let predicted: Vec<f32> = (0..20).map(|i| (i * i % 7) as f32 * 0.5).collect();
        let mut whole = Dense::new("m");
        whole.add(&truth, &predicted).unwrap();
        let mut merged = Dense::new("m");
        for part in [0..7, 7..20] {
            let mut dense = Dense::new("m");
            dense.add(&truth[part.clone()], &predicted[part]).unwrap();
            merged.merge(&dense).unwrap();
        }
        assert_eq!(merged, whole);
        assert!(merged.merge(&Dense::new("feet")).is_err());
    }

    #[test]
    fn wrong_input_is_an_error_and_changes_nothing() {
        let mut dense = Dense::new("m");
        assert!(dense.add(&[0.0], &[]).is_err());
        assert!(dense.add(&[0.0, f32::INFINITY], &[1.0, 0.0]).is_err());
        assert!(matches!(dense.add(&[0.0, 1.0], &[1.0, f32::NAN]), Err(Error::NonFinite { index: 1, .. })));
        assert_eq!(dense, Dense::new("m"));
    }
}
