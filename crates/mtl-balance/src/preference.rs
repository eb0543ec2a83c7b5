//! The setting `preference`: relative importance of each task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Relative importance by task name, above 0; 1 for tasks that are not listed. The share of a task is its importance divided by the sum
/// over the tasks of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Preference(pub BTreeMap<String, f64>);

impl Preference {
    /// The importance of each task of a run; `key` is the configuration key.
    ///
    /// # Errors
    /// An unknown task; a number that is not above 0.
    pub(crate) fn among(&self, tasks: &[String], key: &'static str) -> Result<Importance, Error> {
        for (name, &value) in &self.0 {
            Error::find_task(key, tasks, name)?;
            let rule = "the importance of a task must be a number above 0";
            Error::ensure(value.is_finite() && value > 0.0, format!("{key}.{name}"), value, rule)?;
        }
        Ok(Importance(tasks.iter().map(|task| self.0.get(task).copied().unwrap_or(1.0)).collect()))
    }
}

/// Relative importance of each task of the run.
#[derive(Clone, Debug)]
pub(crate) struct Importance(Vec<f64>);

impl Importance {
    /// The shares of these tasks, which sum to 1.
    pub(crate) fn shares(&self, tasks: &[usize]) -> Vec<f64> {
        // Divided by the largest first, so that the sum does not overflow.
        let most = tasks.iter().map(|&task| self.0[task]).fold(0.0, f64::max);
        let all: f64 = tasks.iter().map(|&task| self.0[task] / most).sum();
        tasks.iter().map(|&task| self.0[task] / most / all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_present_tasks_and_mistakes() {
        let tasks = ["a", "b", "c"].map(str::to_owned);
        let of = |name: &str, value: f64| {
            Preference([(name.to_owned(), value)].into()).among(&tasks, "balancer.x.preference")
        };
        let importance = of("b", 2.0).unwrap();
        assert_eq!(importance.shares(&[0, 1, 2]), [0.25, 0.5, 0.25]);
        assert_eq!(importance.shares(&[0, 2]), [0.5, 0.5]);
        assert_eq!(Importance(vec![1e308, 1e308]).shares(&[0, 1]), [0.5, 0.5]);
        assert!(of("d", 2.0).unwrap_err().to_string().contains("balancer.x.preference"));
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(of("b", wrong).unwrap_err().to_string().contains("balancer.x.preference.b"));
        }
    }
}
