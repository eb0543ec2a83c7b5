//! Arms of an experiment: a name and settings over those of all runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// One arm: runs that differ by their seed only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Name in tables.
    pub name: String,
    /// Kind.
    pub kind: ArmKind,
    /// Settings over those of all runs, as `key.path=value`.
    pub overrides: Vec<String>,
}

/// Kinds of arms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    /// The sum of all losses.
    EqualWeighting,
    /// The single-task baseline: one labelled task, no unlabelled objective.
    SingleTask {
        /// The task.
        task: String,
    },
    /// Fixed weights.
    FixedWeights,
    /// A balancer.
    Balancer,
}

impl Arm {
    /// The sum of all losses.
    pub fn equal_weighting() -> Self {
        Self { name: "equal weighting".into(), kind: ArmKind::EqualWeighting, overrides: Vec::new() }
    }

    /// One task alone; `objectives` are the unlabelled objectives of the other arms, which this one has not.
    pub fn single_task<T>(task: &str, objectives: &BTreeMap<String, T>) -> Self {
        let tasks = format!("data.tasks={}", json!([task]));
        let none = objectives.keys().map(|name| format!("objectives.{name}=none"));
        Self {
            name: format!("single task: {task}"),
            kind: ArmKind::SingleTask { task: task.to_owned() },
            overrides: [tasks].into_iter().chain(none).collect(),
        }
    }

    /// A fixed weight of one task; all others have weight 1.
    pub fn weight(task: &str, weight: f64) -> Self {
        // An inline table: a task's name may contain a dot.
        let weights = format!("balancer.fixed.weights={{{}={weight:?}}}", Value::from(task));
        Self { name: format!("weight: {task}={weight}"), kind: ArmKind::FixedWeights, overrides: vec![weights] }
    }

    /// A balancer, written as `NAME` or `NAME:key=value;key=value`.
    ///
    /// # Errors
    /// [`Error::Settings`] for another form. Names and values are checked with the configuration.
    pub fn balancer(method: &str) -> Result<Self> {
        let (name, settings) = method.split_once(':').unwrap_or((method, ""));
        let mut overrides = vec![format!("balancer={name}")];
        for setting in settings.split(';').filter(|setting| !setting.is_empty()) {
            if name.is_empty() || !setting.contains('=') {
                return Err(Error::Settings(format!(
                    "method `{method}`: write it as NAME or NAME:key=value;key=value"
                )));
            }
            overrides.push(format!("balancer.{name}.{setting}"));
        }
        Ok(Self { name: method.to_owned(), kind: ArmKind::Balancer, overrides })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_as_typed() {
        let arm = Arm::balancer("cagrad:c=0.4;rescale=false").unwrap();
        assert_eq!(arm.overrides, ["balancer=cagrad", "balancer.cagrad.c=0.4", "balancer.cagrad.rescale=false"]);
        assert_eq!(arm.name, "cagrad:c=0.4;rescale=false");
        assert_eq!(Arm::balancer("upgrad").unwrap().overrides, ["balancer=upgrad"]);
        for wrong in ["cagrad:c", ":c=1"] {
            assert!(Arm::balancer(wrong).unwrap_err().to_string().contains("NAME:key=value"), "{wrong}");
        }
    }

    #[test]
    fn names_of_tasks_are_quoted() {
        assert_eq!(Arm::weight("a.b", 3.0).overrides, ["balancer.fixed.weights={\"a.b\"=3.0}"]);
        let objectives = [("reconstruction".to_owned(), ())].into();
        let single = Arm::single_task("a \"b\"", &objectives);
        assert_eq!(single.overrides, ["data.tasks=[\"a \\\"b\\\"\"]", "objectives.reconstruction=none"]);
    }
}
