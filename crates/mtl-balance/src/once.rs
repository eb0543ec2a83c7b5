//! One call of a method on gradients that are written down: to check it against another library, or to see what it does.

use crate::{Combination, Config, Error, Gram, Signals, Wrap};

/// What a method makes of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// One weight a task.
    pub weights: Vec<f64>,
    /// What shared parameters are moved against: `sum_i w_i g_i`, or from methods that decide coordinate by coordinate what they say.
    pub vector: Vec<f64>,
}

/// The first step of `config`'s method, with `wrap` around it, on task gradients as rows of `jacobian`; randomness follows from
/// `seed`. To methods that compare two halves of a batch, both halves have these gradients.
///
/// ```
/// use mtl_balance::Wrap;
/// let config = mtl_balance::Config::named("upgrad")?;
/// let update = mtl_balance::once((&config, &Wrap::default()), &[vec![1.0, 0.0], vec![-0.5, 1.0]], &[0.7, 0.3], 0)?;
/// assert!(update.vector.iter().zip([0.4, 0.7]).all(|(a, b)| (a - b).abs() < 1e-12), "{update:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Rows of different lengths or numbers that are not finite, as many losses as rows not there, settings out of range, losses the
/// method cannot use.
pub fn once(
    (config, wrap): (&Config, &Wrap),
    jacobian: &[Vec<f64>],
    losses: &[f64],
    seed: u64,
) -> Result<Update, Error> {
    let columns = jacobian.first().map_or(0, Vec::len);
    if let Some(row) = jacobian.iter().position(|row| row.len() != columns) {
        let problem = format!("row {row} of the jacobian has {} numbers, row 0 has {columns}", jacobian[row].len());
        return Err(Error::Signals { step: 0, problem });
    }
    let tasks: Vec<String> = (0..jacobian.len()).map(|task| task.to_string()).collect();
    let present: Vec<usize> = (0..jacobian.len()).collect();
    let dot = |i: usize, j: usize| jacobian[i].iter().zip(&jacobian[j]).map(|(a, b)| a * b).sum();
    let gram = Gram::from_fn(jacobian.len(), dot);
    let rows: Vec<Vec<f32>> =
        jacobian.iter().map(|row| row.iter().map(|v| crate::coordinates::narrow(*v)).collect()).collect();
    let signals = Signals::new(&tasks, &present, losses).with_gram(&gram).with_halves(&gram).with_gradients(&rows);
    let mut stream = mtl_rng::Seed::new(seed).stream("balance", &[signals.step]);
    let Combination { weights, vector } = wrap.around(config.build(&tasks)?, &tasks)?.combine(&signals, &mut stream)?;
    let along = |column: usize| jacobian.iter().zip(&weights).map(|(row, weight)| row[column] * weight).sum();
    let vector = match vector {
        Some(vector) => vector.into_iter().map(f64::from).collect(),
        None => (0..columns).map(along).collect(),
    };
    Ok(Update { weights, vector })
}
