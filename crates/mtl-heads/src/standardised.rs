//! Standardised labels: networks predict `(label - mean) / std` with the statistics of the training labels.
//!
//! The two numbers are a buffer, `label_statistics`: saved with the weights and loaded with them. A model that is evaluated,
//! resumed or trained further on other data keeps the scale that it was trained in.

use mtl_task::{Task, ValueStatistics};
use mtl_tensor::{Init, Scope, Tensor, Var, from_host, to_f64};

use crate::{Error, Result};

/// Mean and standard deviation of a task's training labels.
#[derive(Debug)]
pub(crate) struct Standardised {
    statistics: Var,
}

impl Standardised {
    /// By the statistics of the training labels; without them labels stay as they are. `unit` standard deviations become 1.
    pub(crate) fn new(scope: &Scope, task: &Task, values: Option<ValueStatistics>, unit: f64) -> Result<Self> {
        if let Some(values) = values.filter(|values| values.constant()) {
            let problem = format!(
                "all {} training labels are {}: there is nothing to learn; leave the task out with data.tasks",
                values.images, values.min
            );
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let (mean, std) = values.map_or((0.0, 1.0), |values| (values.mean, values.std * unit));
        let statistics = scope.buffer("label_statistics", 2, Init::Constant(0.0))?;
        statistics.set(&from_host(vec![mean, std], 2, &statistics)?)?;
        Ok(Self { statistics })
    }

    fn read(&self) -> Result<[f64; 2]> {
        let read = to_f64(&self.statistics.as_tensor().detach())?;
        Ok([read[0], read[1]])
    }

    /// Labels, NaN where missing, in standard deviations from the mean.
    pub(crate) fn labels(&self, labels: &[f32]) -> Result<Vec<f32>> {
        let [mean, std] = self.read()?;
        Ok(labels.iter().map(|&label| ((f64::from(label) - mean) / std) as f32).collect())
    }

    /// A network's outputs in the unit of the labels, without their graph.
    pub(crate) fn values(&self, output: &Tensor) -> Result<Tensor> {
        let [mean, std] = self.read()?;
        Ok(((output.detach() * std)? + mean)?)
    }
}
