//! Settings of sampling.

use crate::Error;

/// Settings of sampling. Default: those the generator was trained for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Factor of the latents' distance from the mean of their class or of its mixture component, above 0 and at most 1 (truncation trick, Brock et al. 2018,
    /// arXiv 1809.11096). Lower values give more typical and less varied images. Default 1.
    pub truncation: f64,
    /// Strength of classifier-free guidance, at least 0, of generators that have it. Default: the generator's own.
    pub guidance: Option<f64>,
    /// Steps of the solver, at least 1, of generators that solve a differential equation. Default: the generator's own.
    pub steps: Option<usize>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { truncation: 1.0, guidance: None, steps: None }
    }
}

impl Sampling {
    /// # Errors
    /// A truncation out of range.
    pub(crate) fn check_truncation(&self) -> Result<(), Error> {
        if self.truncation > 0.0 && self.truncation <= 1.0 {
            return Ok(());
        }
        Err(Error::option("truncation", self.truncation, "must be above 0 and at most 1"))
    }
}
