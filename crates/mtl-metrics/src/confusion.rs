//! Classification: confusion matrix, accuracy, balanced accuracy and macro F1.
//!
//! With `C[t][p]` images of class `t` predicted as `p`, `recall_t = C[t][t] / sum_p C[t][p]` and
//! `F1_c = 2 TP / (2 TP + FP + FN)`.

use crate::error::{Error, same_length};
use crate::score::{Score, mean_defined, ratio};

/// Confusion matrix: counts of (truth, prediction) pairs. `n` of its scores is the number of labelled images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row-major `[truth][predicted]`.
    counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix for `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Adds one batch: `labels[i]` in `0..classes`, or [`mtl_task::Target::NO_CLASS`] (-1) where missing; `predicted[i]` is
    /// ignored there.
    ///
    /// # Errors
    /// Slices of different lengths; a class outside the range.
    pub fn add(&mut self, labels: &[i32], predicted: &[u32]) -> Result<(), Error> {
        same_length(labels.len(), predicted.len())?;
        let classes = self.classes;
        let class = |what, index, value: i64| match usize::try_from(value) {
            Ok(class) if class < classes => Ok(class),
            _ => Err(Error::Class { what, index, value, classes }),
        };
        let mut pairs = Vec::with_capacity(labels.len());
        for (index, (&label, &predicted)) in labels.iter().zip(predicted).enumerate() {
            if label != mtl_task::Target::NO_CLASS {
                let truth = class("label", index, i64::from(label))?;
                pairs.push((truth, class("prediction", index, i64::from(predicted))?));
            }
        }
        for (truth, predicted) in pairs {
            self.record(truth, predicted);
        }
        Ok(())
    }

    /// Adds the counts of another part of the data.
    ///
    /// # Errors
    /// Another number of classes.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.classes != other.classes {
            let describe = |confusion: &Self| format!("{} classes", confusion.classes);
            return Err(Error::Merge { left: describe(self), right: describe(other) });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of labels of class `truth` predicted as class `predicted`; 0 for classes out of range.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        if truth < self.classes && predicted < self.classes { self.counts[truth * self.classes + predicted] } else { 0 }
    }

    /// Number of labels.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Fraction of labels predicted correctly.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.classes).map(|class| self.count(class, class)).sum(), self.total())
    }

    /// Mean recall over the classes present in the truth (Brodersen et al. 2010); chance level is `1 / classes present`.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean_defined((0..self.classes).map(|class| ratio(self.count(class, class), self.truths(class))))
    }

    /// Unweighted mean of F1 over the classes present in the truth or in the predictions.
    pub fn macro_f1(&self) -> Option<f64> {
        mean_defined((0..self.classes).map(|class| self.f1(class)))
    }

    /// F1 score (equal to the Dice coefficient) of one class; `None` if the class is in neither truth nor prediction.
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(2 * self.count(class, class), self.truths(class) + self.predictions(class))
    }

    /// Intersection over union (Jaccard index) of one class; `None` if the class is in neither truth nor prediction.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let hits = self.count(class, class);
        ratio(hits, self.truths(class) + self.predictions(class) - hits)
    }

    /// `accuracy`, `balanced_accuracy`, `macro_f1`; empty without labels.
    pub fn scores(&self) -> Vec<Score> {
        let n = self.total() as usize;
        [("accuracy", self.accuracy()), ("balanced_accuracy", self.balanced_accuracy()), ("macro_f1", self.macro_f1())]
            .into_iter()
            .filter_map(|(name, value)| Some(Score::fraction(name, value?, n)))
            .collect()
    }

    /// Number of labels of class `class`.
    pub(crate) fn truths(&self, class: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(class, predicted)).sum()
    }

    /// Number of predictions of class `class` on labelled images.
    pub(crate) fn predictions(&self, class: usize) -> u64 {
        (0..self.classes).map(|truth| self.count(truth, class)).sum()
    }

    /// Counts one pair; both must be below `classes`.
    pub(crate) fn record(&mut self, truth: usize, predicted: usize) {
        self.counts[truth * self.classes + predicted] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [i32; 10] = [0, 0, 0, 0, 1, 1, 1, 2, 2, -1];
    const PREDICTED: [u32; 10] = [0, 0, 1, 3, 1, 1, 0, 0, 2, 77];

    fn filled() -> Confusion {
        let mut confusion = Confusion::new(5);
        confusion.add(&LABELS, &PREDICTED).unwrap();
        confusion
    }

    #[test]
    fn worked_example() {
        // By hand: recalls 2/4, 2/3, 1/2 (classes 3 and 4 are not in the truth); F1 0: 2*2/(4+4), 1: 2*2/(3+3),
        // 2: 2*1/(2+1), 3: 0/(0+1), 4 undefined. The same three numbers from scikit-learn 1.9.1:
        //   from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
        //   t = [0,0,0,0,1,1,1,2,2]; p = [0,0,1,3,1,1,0,0,2]
        //   accuracy_score(t, p), balanced_accuracy_score(t, p), f1_score(t, p, average="macro")
        let confusion = filled();
        let expected = [5.0 / 9.0, (0.5 + 2.0 / 3.0 + 0.5) / 3.0, (0.5 + 2.0 / 3.0 + 2.0 / 3.0 + 0.0) / 4.0];
        let scores = confusion.scores();
        assert_eq!(scores.len(), 3);
        for (score, (expected, sklearn)) in scores.iter().zip(expected.into_iter().zip(SKLEARN)) {
            assert!((score.value - expected).abs() < 1e-12, "{score:?}");
            assert!((score.value - sklearn).abs() < 1e-12, "{score:?}");
            assert_eq!(score.n, 9);
        }
        assert_eq!((confusion.count(0, 3), confusion.count(3, 0), confusion.count(9, 9)), (1, 0, 0));
        assert_eq!(confusion.iou(1), Some(2.0 / 4.0));
        assert_eq!(confusion.iou(4), None);
    }
    const SKLEARN: [f64; 3] = [0.5555555555555556, 0.5555555555555555, 0.45833333333333326];

    #[test]
    fn nothing_labelled_gives_no_score() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[-1, -1], &[0, 1]).unwrap();
        assert!(confusion.scores().is_empty());
        assert_eq!(confusion.accuracy(), None);
        assert!(Confusion::new(0).scores().is_empty());
    }

    #[test]
    fn merging_equals_streaming() {
        let mut merged = Confusion::new(5);
        for (labels, predicted) in [(&LABELS[..4], &PREDICTED[..4]), (&LABELS[4..], &PREDICTED[4..])] {
            let mut part = Confusion::new(5);
            part.add(labels, predicted).unwrap();
            merged.merge(&part).unwrap();
        }
        assert_eq!(merged, filled());
        assert!(merged.merge(&Confusion::new(4)).is_err());
    }

    #[test]
    fn wrong_input_is_an_error_and_changes_nothing() {
        let mut confusion = filled();
        for (labels, predicted) in
            [(vec![0], vec![0, 0]), (vec![0, 5], vec![0, 0]), (vec![0, -2], vec![0, 0]), (vec![0, 1], vec![0, 5])]
        {
            assert!(confusion.add(&labels, &predicted).is_err(), "{labels:?} {predicted:?}");
        }
        assert_eq!(confusion, filled());
    }
}
