//! Fixed weights: the (weighted) sum of the losses, the baseline (Xin et al. 2022, arXiv 2209.11379; Kurin et al. 2022).
//!
//! `w_i` as configured, 1 by default. With tuned weights it equals most methods in several comparisons. The default balancer.

use std::collections::BTreeMap;

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::task_state::expect_no_state;
use crate::{Aggregation, Balancer, Error, Method, Needs, Requirements, Signals, State};

/// Settings of constant weighting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Weight by task name, 0 or more. Default: 1 for tasks that are not listed. A task of weight 0 trains neither the trunk nor
    /// its own head.
    pub weights: BTreeMap<String, f64>,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        for (name, &value) in &self.weights {
            Error::find_task("balancer.fixed.weights", tasks, name)?;
            let (key, rule) = (format!("balancer.fixed.weights.{name}"), "a weight is a finite number of at least 0");
            Error::ensure(value.is_finite() && value >= 0.0, key, value, rule)?;
        }
        let weights = tasks.iter().map(|task| self.weights.get(task).copied().unwrap_or(1.0)).collect();
        Ok(Box::new(Fixed { tasks: tasks.to_vec(), weights }))
    }
}

/// The method.
#[derive(Clone, Debug)]
pub struct Fixed {
    tasks: Vec<String>,
    weights: Vec<f64>,
}

impl Balancer for Fixed {
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }

    fn aggregate(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, Needs::Losses)?;
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
        let error = config("leson", 1.0).build(&tasks).err().unwrap();
        assert_eq!(
            error.to_string(),
            "balancer.fixed.weights: unknown task `leson`: did you mean `lesion`? (there are: stress, lesion)"
        );
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            let error = config("lesion", weight).build(&tasks).err().unwrap();
            assert!(error.to_string().starts_with("balancer.fixed.weights.lesion = "), "{error}");
        }
        assert!(config("lesion", 0.0).build(&tasks).is_ok());
    }
}
