//! One call of a method on a Jacobian, without a training run.

use crate::vector::narrow;
use crate::{Aggregation, Error, Gram, Method, Signals, UpdateOptions};

/// The result of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// One weight per task.
    pub weights: Vec<f64>,
    /// The direction whose negative the shared parameters follow: `sum_i w_i g_i`, or the update of a method that works per coordinate.
    pub vector: Vec<f64>,
}

/// The first step of a method on task gradients, one per row of `jacobian`, with losses of 1: short for
/// [`Aggregator::new`] and [`Aggregator::update`].
///
/// ```
/// use mtl_balance::{aggregate, methods::upgrad};
/// let update = aggregate(&upgrad::Config::default(), &[[1.0, 0.0], [-0.5, 1.0]])?;
/// assert!(update.vector.iter().zip([0.4, 0.7]).all(|(a, b)| (a - b).abs() < 1e-12), "{update:?}");
/// # Ok::<(), mtl_balance::Error>(())
/// ```
///
/// # Errors
/// Those of [`Aggregator::update`].
pub fn aggregate(method: &dyn Method, jacobian: &[impl AsRef<[f64]>]) -> Result<Update, Error> {
    Aggregator::new(method).update(jacobian)
}

/// A call of a method on a Jacobian, with losses, options and random seed.
///
/// ```
/// use mtl_balance::{Aggregator, UpdateOptions, methods::mgda};
/// let method = mgda::Config { rows: mgda::Scale::Loss, ..Default::default() };
/// let options = UpdateOptions { match_norm: true, ..Default::default() };
/// let update = Aggregator::new(&method).losses(&[0.7, 0.3]).options(&options).update(&[[1.0, 0.0], [-0.5, 1.0]])?;
/// let length = update.vector.iter().map(|v| v * v).sum::<f64>().sqrt();
/// assert!((length - 0.3125f64.sqrt()).abs() < 1e-12); // that of the mean gradient (0.25, 0.5)
/// # Ok::<(), mtl_balance::Error>(())
/// ```
#[derive(Clone)]
pub struct Aggregator<'a> {
    method: &'a dyn Method,
    losses: Option<&'a [f64]>,
    options: UpdateOptions,
    seed: u64,
}

impl<'a> Aggregator<'a> {
    /// `method` with losses of 1, no options and seed 0.
    pub fn new(method: &'a dyn Method) -> Self {
        Self { method, losses: None, options: UpdateOptions::default(), seed: 0 }
    }

    /// Sets the losses, one per row.
    pub fn losses(self, losses: &'a [f64]) -> Self {
        Self { losses: Some(losses), ..self }
    }

    /// Sets the options.
    pub fn options(self, options: &UpdateOptions) -> Self {
        Self { options: options.clone(), ..self }
    }

    /// Sets the random seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The first step on `jacobian`, one task gradient per row. Tasks are called `0`, `1` and so on. Methods that compare two halves
    /// of a batch get these gradients for both halves; methods with state start from their initial state.
    ///
    /// # Errors
    /// Rows of different lengths, numbers that are not finite, another count of losses than rows, settings out of range, losses that
    /// the method refuses.
    pub fn update(&self, jacobian: &[impl AsRef<[f64]>]) -> Result<Update, Error> {
        let jacobian: Vec<&[f64]> = jacobian.iter().map(AsRef::as_ref).collect();
        let columns = jacobian.first().map_or(0, |row| row.len());
        if let Some(row) = jacobian.iter().position(|row| row.len() != columns) {
            let problem = format!("row {row} of the Jacobian has {} numbers, row 0 has {columns}", jacobian[row].len());
            return Err(Error::Signals { step: 0, problem });
        }
        let tasks: Vec<String> = (0..jacobian.len()).map(|task| task.to_string()).collect();
        let present: Vec<usize> = (0..jacobian.len()).collect();
        let ones = vec![1.0; jacobian.len()];
        let dot = |i: usize, j: usize| jacobian[i].iter().zip(jacobian[j]).map(|(a, b)| a * b).sum();
        let gram = Gram::from_fn(jacobian.len(), dot);
        let rows: Vec<Vec<f32>> = jacobian.iter().map(|row| row.iter().map(|v| narrow(*v)).collect()).collect();
        let signals = Signals::new(&tasks, &present, self.losses.unwrap_or(&ones));
        let signals = signals.with_gram(&gram).with_halves(&gram).with_gradients(&rows);
        let mut stream = mtl_rng::Seed::new(self.seed).stream("balance", &[signals.step]);
        let mut balancer = self.options.apply(self.method.build(&tasks)?, &tasks)?;
        let Aggregation { weights, vector } = balancer.aggregate(&signals, &mut stream)?;
        let along = |column: usize| jacobian.iter().zip(&weights).map(|(row, weight)| row[column] * weight).sum();
        let vector = match vector {
            Some(vector) => vector.into_iter().map(f64::from).collect(),
            None => (0..columns).map(along).collect(),
        };
        Ok(Update { weights, vector })
    }
}
