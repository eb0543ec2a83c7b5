//! The learning rate over a run: linear warm-up, then half a cosine down (Loshchilov and Hutter 2017, arXiv 1608.03983).

use serde::{Deserialize, Serialize};

/// `lr(progress)` with progress from 0 to 1, so that runs limited by minutes have a schedule too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Highest learning rate. Default 3e-3; the presets document measurements.
    pub lr: f64,
    /// Share of the run spent rising from 0. Default 0.05.
    pub warmup: f64,
    /// Learning rate at the end as a share of `lr`. Default 0.01.
    pub min_lr_ratio: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { lr: 3e-3, warmup: 0.05, min_lr_ratio: 0.01 }
    }
}

impl Schedule {
    /// The learning rate after `progress` (0 to 1) of the run.
    pub fn at(&self, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        if progress < self.warmup {
            // Never zero: the first step of a run must move.
            return self.lr * (progress / self.warmup).max(0.02);
        }
        let through = (progress - self.warmup) / (1.0 - self.warmup).max(1e-9);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * through).cos());
        self.lr * (self.min_lr_ratio + (1.0 - self.min_lr_ratio) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_the_lowest_rate() {
        let schedule = Schedule { lr: 1.0, warmup: 0.1, min_lr_ratio: 0.01 };
        assert!((schedule.at(0.05) - 0.5).abs() < 1e-12);
        assert!((schedule.at(0.1) - 1.0).abs() < 1e-12);
        assert!((schedule.at(0.55) - 0.505).abs() < 1e-12);
        assert!((schedule.at(1.0) - 0.01).abs() < 1e-12);
        assert!(schedule.at(0.0) > 0.0);
    }
}
