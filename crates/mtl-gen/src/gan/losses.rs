//! Adversarial losses of the discriminator's own trunk, on scores `D`, one per image, high for real images.
//!
//! | loss | discriminator | generator |
//! |---|---|---|
//! | relativistic | `softplus(D(G z) - D(x))` | `softplus(D(x) - D(G z))` |
//! | hinge | `max(0, 1 - D(x)) + max(0, 1 + D(G z))` | `-D(G z)` |
//! | non-saturating | `softplus(-D(x)) + softplus(D(G z))` | `softplus(-D(G z))` |

use mtl_tensor::{Tensor, ops};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Adversarial loss of the discriminator's own trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversarial {
    /// On pairs of a real and a generated image of the same class (Jolicoeur-Martineau 2018, arXiv 1807.00734).
    #[default]
    Relativistic,
    /// Lim and Ye 2017, arXiv 1705.02894.
    Hinge,
    /// Goodfellow et al. 2014, arXiv 1406.2661.
    NonSaturating,
}

impl Adversarial {
    /// All losses.
    pub const ALL: [Self; 3] = [Self::Relativistic, Self::Hinge, Self::NonSaturating];

    /// Loss of the discriminator from scores of real and of generated images, of the same shape: a scalar.
    pub(crate) fn critic(self, real: &Tensor, fake: &Tensor) -> Result<Tensor, Error> {
        Ok(match self {
            Self::Relativistic => ops::softplus(&(fake - real)?)?.mean_all()?,
            Self::Hinge => (ops::relu(&(real.neg()? + 1.0)?)?.mean_all()? + ops::relu(&(fake + 1.0)?)?.mean_all()?)?,
            Self::NonSaturating => (ops::softplus(&real.neg()?)?.mean_all()? + ops::softplus(fake)?.mean_all()?)?,
        })
    }

    /// Loss of the generator from scores of generated images and, if [`Adversarial::compares`], of real ones: a scalar.
    pub(crate) fn generator(self, fake: &Tensor, real: Option<&Tensor>) -> Result<Tensor, Error> {
        Ok(match (self, real) {
            (Self::Relativistic, Some(real)) => ops::softplus(&(real - fake)?)?.mean_all()?,
            (Self::Hinge, _) => fake.mean_all()?.neg()?,
            (Self::Relativistic | Self::NonSaturating, _) => ops::softplus(&fake.neg()?)?.mean_all()?,
        })
    }

    /// Whether the generator's loss has scores of real images.
    pub(super) fn compares(self) -> bool {
        self == Self::Relativistic
    }
}

#[cfg(test)]
mod tests {
    use mtl_tensor::Device;

    use super::*;
    use crate::value;

    #[test]
    fn by_hand() {
        let scores = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
        let (real, fake) = (scores(&[2.0, -0.5]), scores(&[0.5, -3.0]));
        let softplus = |x: f64| x.exp().ln_1p();
        let expected = [
            ((softplus(-1.5) + softplus(-2.5)) / 2.0, (softplus(1.5) + softplus(2.5)) / 2.0),
            ((0.0 + 1.5) / 2.0 + (1.5 + 0.0) / 2.0, 1.25),
            (
                (softplus(-2.0) + softplus(0.5)) / 2.0 + (softplus(0.5) + softplus(-3.0)) / 2.0,
                (softplus(-0.5) + softplus(3.0)) / 2.0,
            ),
        ];
        for (loss, (critic, generator)) in Adversarial::ALL.into_iter().zip(expected) {
            let real_of_generator = loss.compares().then_some(&real);
            let found = (
                value(&loss.critic(&real, &fake).unwrap()).unwrap(),
                value(&loss.generator(&fake, real_of_generator).unwrap()).unwrap(),
            );
            assert!((found.0 - critic).abs() < 1e-12 && (found.1 - generator).abs() < 1e-12, "{loss:?}: {found:?}");
        }
    }
}
