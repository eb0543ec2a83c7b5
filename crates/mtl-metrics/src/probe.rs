//! Linear probe: cross-validated logistic regression on features of a network.
//!
//! Multinomial logistic regression with an L2 penalty, fitted by Newton steps with the constant bound of the Hessian (Boehning
//! 1992, Annals of the Institute of Statistical Mathematics 44): one factorisation per fold, and each step lowers the loss.
//! Each image is predicted by the fit of the other folds. Cost per fold: `n width^2 + steps n width classes`.

/// Newton steps per fold.
const STEPS: usize = 40;
/// Weight of the penalty per image: the loss is the mean cross entropy plus half of this times the squared weights.
const PENALTY: f64 = 0.01;

/// Features and labels of images.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// `[n, width]`.
    pub features: &'a [f32],
    /// Features per image.
    pub width: usize,
    /// A class per image; `None` is predicted and not learned from.
    pub labels: &'a [Option<usize>],
    /// Number of classes.
    pub classes: usize,
    /// The fold of each image, from 0 without gaps.
    pub folds: &'a [usize],
}

impl Probe<'_> {
    /// Probabilities `[n, classes]` of each image by the fit of the other folds. The folds are fitted in parallel.
    ///
    /// # Panics
    /// If the lengths do not agree: a programming error.
    pub fn out_of_fold(&self) -> Vec<f64> {
        let n = self.labels.len();
        assert!(
            self.features.len() == n * self.width && self.folds.len() == n,
            "a row of features and a fold per label"
        );
        let mut probabilities = vec![0.0; n * self.classes];
        let folds = self.folds.iter().max().map_or(0, |last| last + 1);
        let fitted: Vec<Vec<(usize, Vec<f64>)>> = std::thread::scope(|scope| {
            let one = |fold| scope.spawn(move || self.predict_fold(fold));
            let running: Vec<_> = (0..folds).map(one).collect();
            running.into_iter().map(|fold| fold.join().unwrap_or_default()).collect()
        });
        for (at, row) in fitted.into_iter().flatten() {
            probabilities[at * self.classes..][..self.classes].copy_from_slice(&row);
        }
        probabilities
    }

    /// The probabilities of the images of a fold.
    fn predict_fold(&self, fold: usize) -> Vec<(usize, Vec<f64>)> {
        let in_fold = |at: &usize| self.folds[*at] == fold;
        let rows: Vec<usize> = (0..self.labels.len()).filter(|at| !in_fold(at) && self.labels[*at].is_some()).collect();
        let scaling = Scaling::of(self, &rows);
        let inputs = self.width + 1;
        let x: Vec<f32> = rows.iter().flat_map(|&at| scaling.row(self, at)).collect();
        let factor = Factor::of(&x, inputs);
        let mut weights = vec![0.0_f32; inputs * self.classes];
        let mut gradient = vec![0.0_f64; inputs * self.classes];
        for _ in 0..STEPS {
            gradient.iter_mut().zip(&weights).enumerate().for_each(|(at, (gradient, weight))| {
                let penalised = at / self.classes < self.width;
                *gradient = if penalised { PENALTY * f64::from(*weight) } else { 0.0 };
            });
            let share = 1.0 / rows.len().max(1) as f64;
            for (row, &at) in x.chunks_exact(inputs).zip(&rows) {
                let mut error = softmax(&logits(row, &weights, self.classes));
                if let Some(label) = self.labels[at] {
                    error[label] -= 1.0;
                }
                for (input, gradient) in row.iter().zip(gradient.chunks_exact_mut(self.classes)) {
                    let input = f64::from(*input) * share;
                    gradient.iter_mut().zip(&error).for_each(|(gradient, error)| *gradient += input * error);
                }
            }
            factor.solve(&mut gradient, self.classes);
            weights.iter_mut().zip(&gradient).for_each(|(weight, step)| *weight -= *step as f32);
        }
        let predict = |at: usize| (at, softmax(&logits(&scaling.row(self, at), &weights, self.classes)));
        (0..self.labels.len()).filter(in_fold).map(predict).collect()
    }
}

/// Mean and inverse standard deviation of each feature.
struct Scaling {
    mean: Vec<f32>,
    inverse: Vec<f32>,
}

impl Scaling {
    fn of(probe: &Probe<'_>, rows: &[usize]) -> Self {
        let mut sums = vec![[0.0_f64; 2]; probe.width];
        for &at in rows {
            for (sum, value) in sums.iter_mut().zip(&probe.features[at * probe.width..][..probe.width]) {
                sum[0] += f64::from(*value);
                sum[1] += f64::from(*value) * f64::from(*value);
            }
        }
        let n = rows.len().max(1) as f64;
        let mean = |sum: &[f64; 2]| sum[0] / n;
        let inverse = |sum: &[f64; 2]| {
            let variance = sum[1] / n - mean(sum) * mean(sum);
            // A constant feature tells nothing.
            if variance > 1e-12 { variance.sqrt().recip() as f32 } else { 0.0 }
        };
        Self { mean: sums.iter().map(|sum| mean(sum) as f32).collect(), inverse: sums.iter().map(inverse).collect() }
    }

    /// The scaled features of an image, and a 1.
    fn row(&self, probe: &Probe<'_>, at: usize) -> Vec<f32> {
        let values = &probe.features[at * probe.width..][..probe.width];
        let scaled =
            values.iter().zip(&self.mean).zip(&self.inverse).map(|((value, mean), inverse)| (value - mean) * inverse);
        scaled.chain([1.0]).collect()
    }
}

fn logits(row: &[f32], weights: &[f32], classes: usize) -> Vec<f32> {
    let mut logits = vec![0.0_f32; classes];
    for (input, weights) in row.iter().zip(weights.chunks_exact(classes)) {
        logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += input * weight);
    }
    logits
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Cholesky factor of `X'X / 2n` with the penalty: the bound of the Hessian of every class (the factor `1 - 1/classes` of the
/// exact bound is left out).
struct Factor {
    lower: Vec<f64>,
    inputs: usize,
}

impl Factor {
    fn of(x: &[f32], inputs: usize) -> Self {
        let n = (x.len() / inputs.max(1)).max(1) as f64;
        let mut sums = vec![0.0_f32; inputs * inputs];
        for row in x.chunks_exact(inputs) {
            for (at, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                let products = &mut sums[at * inputs..][..=at];
                products.iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
            }
        }
        let mut lower: Vec<f64> = sums.into_iter().map(|sum| f64::from(sum) * 0.5 / n).collect();
        for at in 0..inputs {
            // The penalty, and a little where a feature is constant.
            lower[at * inputs + at] += PENALTY;
        }
        for column in 0..inputs {
            for row in column..inputs {
                let (a, b) = (&lower[row * inputs..][..column], &lower[column * inputs..][..column]);
                let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let rest = lower[row * inputs + column] - sum;
                lower[row * inputs + column] = if row == column {
                    rest.max(f64::MIN_POSITIVE).sqrt()
                } else {
                    rest / lower[column * inputs + column]
                };
            }
        }
        Self { lower, inputs }
    }

    /// Replaces the right-hand sides `[inputs, classes]` by the solutions.
    fn solve(&self, sides: &mut [f64], classes: usize) {
        for row in 0..self.inputs {
            for from in 0..row {
                subtract(sides, classes, from, row, self.lower[row * self.inputs + from]);
            }
            self.divide(sides, classes, row);
        }
        for row in (0..self.inputs).rev() {
            for from in row + 1..self.inputs {
                subtract(sides, classes, from, row, self.lower[from * self.inputs + row]);
            }
            self.divide(sides, classes, row);
        }
    }
    fn divide(&self, sides: &mut [f64], classes: usize, row: usize) {
        let by = self.lower[row * self.inputs + row];
        sides[row * classes..][..classes].iter_mut().for_each(|side| *side /= by);
    }
}

/// Subtracts a multiple of the row `from` of `[rows, classes]` from the row `to`.
fn subtract(sides: &mut [f64], classes: usize, from: usize, to: usize, times: f64) {
    let (low, high) = (from.min(to), from.max(to));
    let (before, after) = sides.split_at_mut(high * classes);
    let (low, high) = (&mut before[low * classes..][..classes], &mut after[..classes]);
    let (source, target) = if from < to { (low, high) } else { (high, low) };
    target.iter_mut().zip(source.iter()).for_each(|(target, source)| *target -= times * source);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two features, three classes on a line of the first; the second is noise. Every tenth label is wrong.
    fn example() -> (Vec<f32>, Vec<Option<usize>>, Vec<usize>) {
        let noise = |at: usize| ((at * 7919 % 101) as f32 - 50.0) / 50.0;
        let class = |at: usize| at % 3;
        let features = (0..150).flat_map(|at| [10.0 * class(at) as f32 + noise(at), 5.0 * noise(at + 31)]).collect();
        let labels =
            (0..150).map(|at| (at != 7).then_some(if at % 10 == 0 { (at + 1) % 3 } else { class(at) })).collect();
        (features, labels, (0..150).map(|at| at / 3 % 5).collect())
    }

    #[test]
    fn out_of_fold_predictions_find_the_class_of_wrong_labels() {
        let (features, labels, folds) = example();
        let probe = Probe { features: &features, width: 2, labels: &labels, classes: 3, folds: &folds };
        let found = probe.out_of_fold();
        for (at, row) in found.chunks_exact(3).enumerate() {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let best = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!(best, at % 3, "{at}: {row:?}, also of wrong and missing labels");
        }
    }

    #[test]
    fn the_gradient_is_zero_at_the_fit_of_a_binary_problem() {
        // One feature at -1 and 1 with 3 of 4 labels agreeing: the unpenalised logit is ln 3; the penalty draws it to 0.
        let features = [-1.0_f32, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let labels = [0, 0, 0, 1, 1, 1, 1, 0].map(Some).into_iter().chain([None]).collect::<Vec<_>>();
        let folds = [0, 0, 0, 0, 0, 0, 0, 0, 1];
        let probe = Probe { features: &features, width: 1, labels: &labels, classes: 2, folds: &folds };
        let p = probe.out_of_fold()[17];
        // Two weights w and -w of one feature: sigma(2 w) - 3/4 + PENALTY w = 0.
        let weight = (p / (1.0 - p)).ln() / 2.0;
        assert!((p - 0.75 + PENALTY * weight).abs() < 1e-4, "{p}");
    }

    #[test]
    fn constant_features_and_one_class_are_no_fault() {
        let features = [3.0_f32; 12];
        let labels = [Some(0); 6];
        let probe = Probe { features: &features, width: 2, labels: &labels, classes: 2, folds: &[0, 1, 0, 1, 0, 1] };
        assert!(probe.out_of_fold().chunks_exact(2).all(|row| row[0] > 0.9 && row[0] <= 1.0));
    }
}
