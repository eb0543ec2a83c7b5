//! The settings that all runs of an experiment share.

use std::path::PathBuf;

use mtl_train::Config;
use mtl_train::config::{Budget, JOINT, load};
use serde::{Deserialize, Serialize};

use crate::arm::{Arm, ArmKind};

/// The settings that all runs share. Every run has the joint stage only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Preset of all runs. Default `small`.
    pub preset: String,
    /// TOML file of settings over the preset. Default: none.
    pub file: Option<PathBuf>,
    /// Settings over preset and file, as `key.path=value`. `stages.run`, `budget` and `output` have no effect; `seed` is that of
    /// the first run, and each further run has the next one. Default: none.
    pub overrides: Vec<String>,
    /// Steps of each run. Default 200.
    pub steps: u64,
    /// Runs of each arm. Default 3: fewer give no usable standard deviation.
    pub seeds: u64,
    /// Folder of the runs. Default `runs/compare`.
    pub runs: PathBuf,
    /// Whether complete runs keep their checkpoints. Default false: scores and settings stay, and a comparison has dozens of runs.
    pub keep_checkpoints: bool,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            preset: "small".into(),
            file: None,
            overrides: Vec::new(),
            steps: 200,
            seeds: 3,
            runs: "runs/compare".into(),
            keep_checkpoints: false,
        }
    }
}

impl Experiment {
    /// The configuration of one run: number `index` of an arm.
    ///
    /// # Errors
    /// Settings that cannot be read.
    pub fn config(&self, arm: &Arm, index: u64) -> mtl_train::Result<Config> {
        let overrides = [&self.overrides[..], &arm.overrides].concat();
        let mut config = load::load(&self.preset, self.file.as_deref(), &overrides)?;
        config.seed = config.seed.wrapping_add(index);
        config.stages.run = vec![JOINT.to_owned()];
        config.budget = Budget { steps: Some(self.steps), ..Budget::default() };
        config.output.dir.clone_from(&self.runs);
        config.output.name = Some(format!("{}-seed{}", folder_name(&arm.name), config.seed));
        if let ArmKind::SingleTask { task } = &arm.kind {
            // Settings of the other tasks' heads would be settings of unknown tasks.
            config.heads.retain(|name, _| name == task);
            config.model.condition_on = config.model.condition_on.filter(|name| name == task);
        }
        Ok(config)
    }
}

/// A name that a run folder can have, with room for seed and number.
fn folder_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'));
    let joined = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    let name: String = joined.trim_start_matches('.').chars().take(40).collect();
    if name.is_empty() { "arm".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_allowed_ones() {
        assert_eq!(folder_name("single task: class"), "single-task-class");
        assert_eq!(folder_name("cagrad:c=0.4;rescale=false"), "cagrad-c-0.4-rescale-false");
        assert_eq!(folder_name("Größe/../.x"), "Gr-e-..-.x");
        assert_eq!(folder_name("..é"), "arm");
        assert_eq!(folder_name(&"x".repeat(99)).len(), 40);
    }

    #[test]
    fn runs_differ_by_seed_and_arm_only() {
        let overrides =
            ["seed=5", "budget.epochs=2", "heads.parts.segmentation.norm=group", "model.condition_on=class"];
        let experiment =
            Experiment { overrides: overrides.map(str::to_owned).to_vec(), steps: 7, ..Experiment::default() };
        let first = experiment.config(&Arm::equal_weighting(), 0).unwrap();
        let mut second = experiment.config(&Arm::equal_weighting(), 1).unwrap();
        assert_eq!((first.seed, second.seed, first.budget.steps, first.budget.epochs), (5, 6, Some(7), None));
        assert_eq!((&first.stages.run[..], first.heads.len()), (&["joint".to_owned()][..], 1));
        (second.seed, second.output) = (first.seed, first.output.clone());
        assert_eq!(first, second);
        let single = experiment.config(&Arm::single_task("depth", &first.objectives), 0).unwrap();
        assert_eq!(
            (single.data.tasks, single.heads.len(), single.model.condition_on),
            (Some(vec!["depth".into()]), 0, None)
        );
        assert_eq!(single.objectives["reconstruction"].name(), "none");
        let single = experiment.config(&Arm::single_task("parts", &first.objectives), 0).unwrap();
        assert_eq!(single.heads.len(), 1);
    }
}
