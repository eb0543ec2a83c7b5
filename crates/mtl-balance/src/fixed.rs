//! Constant weights: `w_i` as configured, 1 where nothing is.
//!
//! The plain (weighted) sum of the losses. With tuned weights it matches most methods in several comparisons (Kurin et
//! al. 2022, Xin et al. 2022), so it is the baseline to beat, and the default.

use std::collections::BTreeMap;

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::memory::expect_no_state;
use crate::{Balancer, Combination, Error, Needs, Signals, State};

/// Settings of constant weighting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Weight of a task by its name: 0 or more. Tasks that are not listed have 1, so that the default is the plain
    /// sum. With weight 0 a task trains neither the trunk nor its own head.
    pub weights: BTreeMap<String, f64>,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A weight for a task there is not; a weight that is negative or not finite.
    pub fn build(&self, tasks: &[String]) -> Result<Fixed, Error> {
        for (name, &value) in &self.weights {
            Error::find_task("balancer.fixed.weights", tasks, name)?;
            let (key, rule) = (format!("balancer.fixed.weights.{name}"), "a weight is a finite number of at least 0");
            Error::unless(value.is_finite() && value >= 0.0, key, value, rule)?;
        }
        let weights = tasks.iter().map(|task| self.weights.get(task).copied().unwrap_or(1.0)).collect();
        Ok(Fixed { tasks: tasks.to_vec(), weights })
    }
}

/// Constant weights.
#[derive(Clone, Debug)]
pub struct Fixed {
    tasks: Vec<String>,
    weights: Vec<f64>,
}

impl Balancer for Fixed {
    fn needs(&self) -> Needs {
        Needs::Losses
    }

    fn combine(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        Ok(signals.present.iter().map(|&task| self.weights[task]).collect::<Vec<_>>().into())
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        expect_no_state("fixed", &state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, weight: f64) -> Config {
        Config { weights: [(name.to_owned(), weight)].into() }
    }

    #[test]
    fn weights_are_those_configured() {
        let tasks = ["stress".to_owned(), "lesion".to_owned()];
        let mut stream = mtl_rng::Seed::new(0).stream("test", &[]);
        let mut balancer = config("lesion", 0.25).build(&tasks).unwrap();
        let both = Signals::new(&tasks, &[0, 1], &[9.0, 1.0]);
        assert_eq!(balancer.weights(&both, &mut stream).unwrap(), [1.0, 0.25]);
        let one = Signals::new(&tasks, &[1], &[1.0]);
        assert_eq!(balancer.weights(&one, &mut stream).unwrap(), [0.25]);
    }

    #[test]
    fn mistakes_are_errors() {
        let tasks = ["stress".to_owned(), "lesion".to_owned()];
        let error = config("leson", 1.0).build(&tasks).unwrap_err();
        assert_eq!(
            error.to_string(),
            "balancer.fixed.weights: unknown task `leson`: did you mean `lesion`? (there are: stress, lesion)"
        );
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            let error = config("lesion", weight).build(&tasks).unwrap_err();
            assert!(error.to_string().starts_with("balancer.fixed.weights.lesion = "), "{error}");
        }
        assert!(config("lesion", 0.0).build(&tasks).is_ok());
    }
}
