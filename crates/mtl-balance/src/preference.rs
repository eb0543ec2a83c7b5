//! How much each task counts with a method that treats them alike otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How much a task counts beside the others, by its name: above 0, and 1 for those that are not listed. The share of a task is what it
/// counts divided by what all tasks of the step do together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Preference(pub BTreeMap<String, f64>);

impl Preference {
    /// For a run with these tasks; `key` is where it stands in the configuration.
    ///
    /// # Errors
    /// A task there is not; a number that is not above 0.
    pub(crate) fn among(&self, tasks: &[String], key: &'static str) -> Result<Counts, Error> {
        for (name, &value) in &self.0 {
            Error::find_task(key, tasks, name)?;
            let rule = "what a task counts must be a number above 0";
            Error::unless(value.is_finite() && value > 0.0, format!("{key}.{name}"), value, rule)?;
        }
        Ok(Counts(tasks.iter().map(|task| self.0.get(task).copied().unwrap_or(1.0)).collect()))
    }
}

/// What each of the run's tasks counts.
#[derive(Clone, Debug)]
pub(crate) struct Counts(Vec<f64>);

impl Counts {
    /// The shares of some of them, which sum to 1.
    pub(crate) fn shares(&self, tasks: &[usize]) -> Vec<f64> {
        // The largest becomes 1 first, so that the sum is a number.
        let most = tasks.iter().map(|&task| self.0[task]).fold(0.0, f64::max);
        let all: f64 = tasks.iter().map(|&task| self.0[task] / most).sum();
        tasks.iter().map(|&task| self.0[task] / most / all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_those_that_are_there_and_mistakes() {
        let tasks = ["a", "b", "c"].map(str::to_owned);
        let of = |name: &str, value: f64| {
            Preference([(name.to_owned(), value)].into()).among(&tasks, "balancer.x.preference")
        };
        let counts = of("b", 2.0).unwrap();
        assert_eq!(counts.shares(&[0, 1, 2]), [0.25, 0.5, 0.25]);
        assert_eq!(counts.shares(&[0, 2]), [0.5, 0.5]);
        assert_eq!(Counts(vec![1e308, 1e308]).shares(&[0, 1]), [0.5, 0.5]);
        assert!(of("d", 2.0).unwrap_err().to_string().contains("balancer.x.preference"));
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(of("b", wrong).unwrap_err().to_string().contains("balancer.x.preference.b"));
        }
    }
}
