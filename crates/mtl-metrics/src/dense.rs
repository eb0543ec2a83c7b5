//! Dense regression (depth, height): RMSE, MAE and AbsRel, pooled over all labelled pixels.
//!
//! `RMSE = sqrt(mean (p - t)^2)`, `MAE = mean |p - t|`, both in the unit of the labels; `AbsRel = mean |p - t| / t` has none.
//! AbsRel needs labels that are all above 0, and a zero that means something: relative labels have none.

use mtl_task::TaskKind;

use crate::error::{Error, finite_pair, same_length};
use crate::score::{Direction, Score};

/// Sums of errors. `n` of its scores is the number of labelled pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    unit: String,
    square: f64,
    absolute: f64,
    /// Sum of the relative errors, while all labels are above 0.
    relative: Option<f64>,
    n: u64,
}

impl Dense {
    /// Empty sums for labels in `unit`.
    pub fn new(unit: impl Into<String>) -> Self {
        let unit = unit.into();
        let relative = (unit != TaskKind::RELATIVE).then_some(0.0);
        Self { unit, square: 0.0, absolute: 0.0, relative, n: 0 }
    }

    /// Adds one batch. `truth` is NaN where missing; the prediction is ignored there.
    ///
    /// # Errors
    /// Slices of different lengths; an infinite label; a NaN or infinite prediction for a label that is present.
    pub fn add(&mut self, truth: &[f32], predicted: &[f32]) -> Result<(), Error> {
        same_length(truth.len(), predicted.len())?;
        let (mut square, mut absolute, mut relative, mut n) = (0.0, 0.0, self.relative, 0);
        for (index, (&truth, &predicted)) in truth.iter().zip(predicted).enumerate() {
            let Some((truth, predicted)) = finite_pair(index, truth, predicted)? else { continue };
            let error = predicted - truth;
            square += error * error;
            absolute += error.abs();
            relative = relative.filter(|_| truth > 0.0).map(|sum| sum + error.abs() / truth);
            n += 1;
        }
        self.square += square;
        self.absolute += absolute;
        self.relative = relative;
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
        self.relative = self.relative.zip(other.relative).map(|(mine, theirs)| mine + theirs);
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

    /// Mean of the absolute errors as fractions of the labels; `None` for relative labels, or with a label that is not above 0.
    pub fn abs_rel(&self) -> Option<f64> {
        self.relative.filter(|_| self.n > 0).map(|sum| sum / self.n as f64)
    }

    /// `rmse`, `mae`, `abs_rel`; those that are defined.
    pub fn scores(&self) -> Vec<Score> {
        [("rmse", self.rmse(), &*self.unit), ("mae", self.mae(), &*self.unit), ("abs_rel", self.abs_rel(), "")]
            .into_iter()
            .filter_map(|(name, value, unit)| {
                Some(Score {
                    name: name.to_owned(),
                    value: value?,
                    unit: unit.to_owned().into(),
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
    fn relative_errors_need_labels_above_zero_and_a_unit() {
        let names = |dense: &Dense| dense.scores().into_iter().map(|score| score.name).collect::<Vec<_>>();
        let mut dense = Dense::new("mm");
        dense.add(&[100.0, 400.0], &[150.0, 300.0]).unwrap();
        assert_eq!((dense.abs_rel(), names(&dense).len()), (Some(0.375), 3)); // 0.5 and 0.25
        dense.add(&[0.0], &[1.0]).unwrap();
        assert_eq!(names(&dense), ["rmse", "mae"]);
        let mut relative = Dense::new(TaskKind::RELATIVE);
        relative.add(&[0.5], &[0.25]).unwrap();
        assert_eq!(names(&relative), ["rmse", "mae"]);
    }

    #[test]
    fn nothing_labelled_gives_no_score() {
        let mut dense = Dense::new("m");
        dense.add(&[f32::NAN; 3], &[0.0; 3]).unwrap();
        assert!(dense.scores().is_empty());
    }

    #[test]
    fn merging_equals_streaming() {
        // Numbers with few bits, so that the sums are exact in any order (relative errors are not).
        let truth: Vec<f32> = (0..20).map(|i| if i % 3 == 0 { f32::NAN } else { i as f32 * 0.25 }).collect();
        let predicted: Vec<f32> = (0..20).map(|i| (i * i % 7) as f32 * 0.5).collect();
        let mut whole = Dense::new(TaskKind::RELATIVE);
        whole.add(&truth, &predicted).unwrap();
        let mut merged = Dense::new(TaskKind::RELATIVE);
        for part in [0..7, 7..20] {
            let mut dense = Dense::new(TaskKind::RELATIVE);
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
