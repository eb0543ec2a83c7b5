//! Multi-label classification: label accuracy, macro F1 and exact match.

use crate::error::{Error, divide, same_length};
use crate::score::{Score, mean_defined, ratio};

/// Counts of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cells {
    true_yes: u64,
    true_no: u64,
    false_yes: u64,
    false_no: u64,
}

/// Counts per label, and of rows with every label correct.
///
/// `n` of `label_accuracy` and `macro_f1` is the number of labelled cells, `n` of `exact_match` that of fully labelled rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiLabel {
    cells: Vec<Cells>,
    full_rows: u64,
    exact_rows: u64,
}

impl MultiLabel {
    /// Empty counts for `labels` labels per image.
    pub fn new(labels: usize) -> Self {
        Self { cells: vec![Cells::default(); labels], full_rows: 0, exact_rows: 0 }
    }

    /// Adds one batch, both `[images, labels]` row-major: `truth` 1, 0 or NaN (missing), `predicted` yes or no.
    ///
    /// # Errors
    /// Slices of different lengths or not divisible into rows; a label that is neither 0, 1 nor NaN.
    pub fn add(&mut self, truth: &[f32], predicted: &[bool]) -> Result<(), Error> {
        same_length(truth.len(), predicted.len())?;
        let labels = self.cells.len();
        if labels == 0 || !truth.len().is_multiple_of(labels) {
            divide(truth.len(), labels, "labels")?;
            return Ok(());
        }
        check_binary(truth)?;
        for (truth, predicted) in truth.chunks_exact(labels).zip(predicted.chunks_exact(labels)) {
            let (mut full, mut exact) = (true, true);
            for ((cell, &truth), &predicted) in self.cells.iter_mut().zip(truth).zip(predicted) {
                if truth.is_nan() {
                    full = false;
                    continue;
                }
                exact &= (truth == 1.0) == predicted;
                match (truth == 1.0, predicted) {
                    (true, true) => cell.true_yes += 1,
                    (false, false) => cell.true_no += 1,
                    (false, true) => cell.false_yes += 1,
                    (true, false) => cell.false_no += 1,
                }
            }
            self.full_rows += u64::from(full);
            self.exact_rows += u64::from(full && exact);
        }
        Ok(())
    }

    /// Adds the counts of another part of the data.
    ///
    /// # Errors
    /// Another number of labels.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.cells.len() != other.cells.len() {
            let describe = |scores: &Self| format!("{} labels", scores.cells.len());
            return Err(Error::Merge { left: describe(self), right: describe(other) });
        }
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            mine.true_yes += theirs.true_yes;
            mine.true_no += theirs.true_no;
            mine.false_yes += theirs.false_yes;
            mine.false_no += theirs.false_no;
        }
        self.full_rows += other.full_rows;
        self.exact_rows += other.exact_rows;
        Ok(())
    }

    /// Mean over the labels of the accuracy of their cells; labels without labelled cells are left out.
    pub fn label_accuracy(&self) -> Option<f64> {
        mean_defined(self.cells.iter().map(|cell| {
            let right = cell.true_yes + cell.true_no;
            ratio(right, right + cell.false_yes + cell.false_no)
        }))
    }

    /// Mean over the labels of the F1 score of "yes". Labels without "yes" in truth and prediction are left out (scikit-learn
    /// counts them as 0, with a warning).
    pub fn macro_f1(&self) -> Option<f64> {
        mean_defined(
            self.cells.iter().map(|cell| ratio(2 * cell.true_yes, 2 * cell.true_yes + cell.false_yes + cell.false_no)),
        )
    }

    /// Subset accuracy: fraction of the fully labelled rows with every label correct.
    pub fn exact_match(&self) -> Option<f64> {
        ratio(self.exact_rows, self.full_rows)
    }

    /// The defined ones of `label_accuracy`, `macro_f1`, `exact_match`.
    pub fn scores(&self) -> Vec<Score> {
        let cells: u64 = self.cells.iter().map(|c| c.true_yes + c.true_no + c.false_yes + c.false_no).sum();
        [
            ("label_accuracy", self.label_accuracy(), cells),
            ("macro_f1", self.macro_f1(), cells),
            ("exact_match", self.exact_match(), self.full_rows),
        ]
        .into_iter()
        .filter_map(|(name, value, n)| Some(Score::fraction(name, value?, n as usize)))
        .collect()
    }
}

/// Every value 0, 1 or NaN, or [`Error::NotBinary`].
pub(crate) fn check_binary(truth: &[f32]) -> Result<(), Error> {
    match truth.iter().position(|&value| !value.is_nan() && value != 0.0 && value != 1.0) {
        Some(index) => Err(Error::NotBinary { index, value: truth[index] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [f32; 12] = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0];
    const PREDICTED: [u8; 12] = [1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0];

    fn predicted() -> Vec<bool> {
        PREDICTED.iter().map(|&p| p == 1).collect()
    }

    fn values(scores: &MultiLabel) -> [Option<f64>; 3] {
        [scores.label_accuracy(), scores.macro_f1(), scores.exact_match()]
    }

    #[test]
    fn worked_example() {
        // Columns: tp 2 fp 1 fn 0 tn 1; tp 2 fp 1 fn 0 tn 1; tp 1 fp 0 fn 1 tn 2. Only row 3 is right throughout.
        // scikit-learn 1.9.1: (t == p).mean() 0.75, f1_score(t, p, average="macro") 0.7555555555555555,
        // accuracy_score(t, p) 0.25
        let mut scores = MultiLabel::new(3);
        scores.add(&TRUTH, &predicted()).unwrap();
        for (value, expected) in values(&scores).into_iter().zip([0.75, 0.7555555555555555, 0.25]) {
            assert!((value.unwrap() - expected).abs() < 1e-12, "{value:?} {expected}");
        }
        let n: Vec<_> = scores.scores().iter().map(|score| score.n).collect();
        assert_eq!(n, [12, 12, 4]);
    }

    #[test]
    fn missing_cells_are_skipped_and_their_rows_are_not_exact() {
        let mut scores = MultiLabel::new(2);
        scores.add(&[1.0, f32::NAN, 0.0, f32::NAN], &[true, true, true, false]).unwrap();
        // Column 0: tp 1, fp 1: accuracy 1/2, F1 2/3. Column 1: nothing known.
        assert_eq!(values(&scores), [Some(0.5), Some(2.0 / 3.0), None]);
        let names: Vec<_> = scores.scores().into_iter().map(|score| (score.name, score.n)).collect();
        assert_eq!(names, [("label_accuracy".to_owned(), 2), ("macro_f1".to_owned(), 2)]);

        let mut all_no = MultiLabel::new(1);
        all_no.add(&[0.0, 0.0], &[false, false]).unwrap();
        assert_eq!(values(&all_no), [Some(1.0), None, Some(1.0)]);
        assert!(MultiLabel::new(3).scores().is_empty());
    }

    #[test]
    fn merging_equals_streaming() {
        let mut whole = MultiLabel::new(3);
        whole.add(&TRUTH, &predicted()).unwrap();
        let mut merged = MultiLabel::new(3);
        for rows in [0..6, 6..12] {
            let mut part = MultiLabel::new(3);
            part.add(&TRUTH[rows.clone()], &predicted()[rows]).unwrap();
            merged.merge(&part).unwrap();
        }
        assert_eq!(merged, whole);
        assert!(merged.merge(&MultiLabel::new(2)).is_err());
    }

    #[test]
    fn wrong_input_is_an_error() {
        let mut scores = MultiLabel::new(2);
        assert!(scores.add(&[1.0, 0.0], &[true]).is_err());
        assert!(scores.add(&[1.0, 0.0, 0.0], &[true; 3]).is_err());
        assert!(matches!(scores.add(&[1.0, 0.5], &[true; 2]), Err(Error::NotBinary { index: 1, .. })));
        assert!(MultiLabel::new(0).add(&[1.0], &[true]).is_err());
        assert_eq!(scores, MultiLabel::new(2));
    }
}
