//! Adam for the learned numbers of a method.

use crate::task_state::TaskState;

/// A learned number with its Adam state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Learned {
    pub value: f64,
    adam: Adam,
}

impl Learned {
    pub(crate) fn from(value: f64) -> Self {
        Self { value, adam: Adam::default() }
    }

    /// One step of gradient descent; `slope` is the derivative of the loss.
    pub(crate) fn step(&mut self, slope: f64, lr: f64) {
        self.value += self.adam.step(slope, lr);
    }
}

impl TaskState for Learned {
    fn to_row(&self) -> Vec<f64> {
        vec![self.value, self.adam.m, self.adam.v, self.adam.t]
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        match *row {
            [value, m, v, t] if v >= 0.0 && t >= 0.0 => Some(Self { value, adam: Adam { m, v, t } }),
            _ => None,
        }
    }
}

/// Moments and step count of one number (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Adam {
    m: f64,
    v: f64,
    t: f64,
}

impl Adam {
    /// The change of the number for this gradient.
    fn step(&mut self, gradient: f64, lr: f64) -> f64 {
        const BETA1: f64 = 0.9;
        const BETA2: f64 = 0.999;
        const EPS: f64 = 1e-8;
        // Bounded so that its square stays finite.
        let gradient = gradient.clamp(-1e100, 1e100);
        self.t += 1.0;
        self.m = BETA1 * self.m + (1.0 - BETA1) * gradient;
        self.v = BETA2 * self.v + (1.0 - BETA2) * gradient * gradient;
        let m = self.m / (1.0 - BETA1.powf(self.t));
        let v = self.v / (1.0 - BETA2.powf(self.t));
        -lr * m / (v.sqrt() + EPS)
    }
}
