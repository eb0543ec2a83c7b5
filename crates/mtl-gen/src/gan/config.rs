//! Options of the GAN.

use serde::{Deserialize, Serialize};

use crate::{Error, augment, decoder};

/// Whose eyes the critic has; see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A trunk of its own, from a random start.
    Scratch,
    /// The learnt trunk, never changed.
    #[default]
    Frozen,
    /// The learnt trunk as a starting point.
    Live,
    /// `scratch` and `frozen` together.
    Hybrid,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scratch, Self::Frozen, Self::Live, Self::Hybrid];

    pub(super) fn has_own_trunk(self) -> bool {
        self != Self::Frozen
    }

    pub(super) fn uses_learnt_trunk(self) -> bool {
        matches!(self, Self::Frozen | Self::Hybrid)
    }
}

/// Options of the GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whose eyes the critic has. Default `frozen`.
    pub mode: Mode,
    /// Size of the generator.
    pub decoder: decoder::Config,
    /// What critics see images through.
    pub augment: augment::Config,
    /// Channels of the critic's heads. Default 64.
    pub head_width: usize,
    /// Spectral normalisation of the heads on the learnt trunk, as in Projected GANs. Default false: in runs of a few
    /// hundred steps it keeps the heads from getting ahead of the generator; runs of many thousands need it.
    pub spectral: bool,
    /// Weight of the gradient penalties of a critic's own trunk. Default 0.05, for 32x32; the right value grows about
    /// fourfold with each doubling of the side.
    pub gamma: f64,
    /// Standard deviation of the noise that approximates them, in units of pixels in `[-1, 1]`. Default 0.01.
    pub sigma: f64,
    /// Weight of the frozen heads beside the own trunk in mode `hybrid`. Default 0.5.
    pub frozen_weight: f64,
    /// Weight of matching the batch means of the learnt trunk's features, real and generated (Salimans et al. 2016,
    /// arXiv 1606.03498), in the generator's loss of modes `frozen` and `hybrid`. Default 1; 0 saves a trunk pass.
    pub feature_matching: f64,
    /// Weight of the tasks' losses on real images in the critic's loss of mode `live`: what keeps its trunk one that serves
    /// the tasks. They are summed over the tasks that have labels, and computed by the caller, who has heads and labels,
    /// from [`super::Gan::own_features`]. Costs a trunk pass and the heads, half as much again a step on built-in scenes at
    /// 32x32. Default 1; 0 leaves them out.
    pub task_weight: f64,
    /// Share of training at which the critics begin to look at classes, and at which they do so fully (Shahbazi et al.
    /// 2022, arXiv 2201.06578: conditioning from the start makes small data sets collapse). Default from the start.
    pub class_ramp: [f64; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            decoder: decoder::Config::default(),
            augment: augment::Config::default(),
            head_width: 64,
            spectral: false,
            gamma: 0.05,
            sigma: 0.01,
            frozen_weight: 0.5,
            feature_matching: 1.0,
            task_weight: 1.0,
            class_ramp: [0.0, 0.0],
        }
    }
}

impl Config {
    /// # Errors
    /// An option out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::Option { key: "gan", problem });
        if self.head_width == 0 {
            return wrong("head_width = 0: heads need at least one channel".into());
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return wrong(format!("sigma = {}: must be above 0", self.sigma));
        }
        for (key, value) in [
            ("gamma", self.gamma),
            ("frozen_weight", self.frozen_weight),
            ("feature_matching", self.feature_matching),
            ("task_weight", self.task_weight),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return wrong(format!("{key} = {value}: must be 0 or more"));
            }
        }
        let [from, to] = self.class_ramp;
        if from.is_nan() || to.is_nan() || from > to {
            return wrong(format!("class_ramp = {:?}: two shares of the run, the earlier one first", self.class_ramp));
        }
        self.augment.check()
    }

    /// How much critics look at classes.
    pub(super) fn class_weight(&self, progress: f64) -> f64 {
        let [from, to] = self.class_ramp;
        if progress >= to { 1.0 } else { ((progress - from) / (to - from)).max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_ramp() {
        let config = Config { class_ramp: [0.2, 0.4], ..Config::default() };
        assert_eq!([0.1, 0.2, 0.4, 0.9].map(|at| config.class_weight(at)), [0.0, 0.0, 1.0, 1.0]);
        assert!((config.class_weight(0.3) - 0.5).abs() < 1e-12);
        assert_eq!(Config::default().class_weight(0.0), 1.0);
    }
}
