//! Adam for the few numbers that a method learns.

/// Moments and step count of one number (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Adam {
    pub m: f64,
    pub v: f64,
    pub t: f64,
}

impl Adam {
    /// What to add to the number for its gradient.
    pub(crate) fn step(&mut self, gradient: f64, lr: f64) -> f64 {
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
