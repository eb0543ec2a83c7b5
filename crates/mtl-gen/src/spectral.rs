//! Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957): a weight divided by its largest singular value.
//!
//! `W / sigma` with `sigma = u^T W v`. `u` is a stored buffer, updated by one power iteration per discriminator step; `v` follows
//! from it. `u` and `v` are constants to the gradient, which flows through `W` in numerator and denominator.

use mtl_tensor::{Init, Scope, Tensor, Var};

use crate::Error;

/// Left singular vector of one weight.
#[derive(Debug)]
pub struct Spectral {
    u: Var,
}

impl Spectral {
    /// Vector for a weight with `rows` outputs.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(scope: &Scope, rows: usize) -> Result<Self, Error> {
        Ok(Self { u: scope.buffer("u", (rows, 1), Init::Normal { fan_in: 1, gain: 1.0 })? })
    }

    /// `weight [O, ...]` divided by the current estimate of its largest singular value; `improve` takes a power iteration first.
    ///
    /// # Errors
    /// Another number of rows.
    pub fn forward(&self, weight: &Tensor, improve: bool) -> Result<Tensor, Error> {
        let flat = weight.flatten_from(1)?; // [O, I]
        let constant = flat.detach();
        let v = normalised(&constant.t()?.matmul(&self.u.as_tensor().detach())?)?; // [I, 1]
        let mut u = normalised(&self.u.as_tensor().detach())?;
        if improve {
            u = normalised(&constant.matmul(&v)?)?;
            self.u.set(&u)?;
        }
        let sigma = u.t()?.matmul(&flat.matmul(&v)?)?; // [1, 1]
        Ok(flat.broadcast_div(&sigma)?.reshape(weight.shape())?)
    }
}

fn normalised(x: &Tensor) -> Result<Tensor, Error> {
    Ok(x.broadcast_div(&(x.sqr()?.sum_all()?.sqrt()? + 1e-12)?)?)
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Params, gradcheck, to_f64};

    use super::*;

    #[test]
    fn finds_the_largest_singular_value_of_a_diagonal_matrix() {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let spectral = Spectral::new(&params.scope("s"), 2).unwrap();
        let weight = Tensor::from_vec(vec![3.0f64, 0.0, 0.0, 4.0], (2, 2), &Device::Cpu).unwrap();
        for _ in 0..60 {
            spectral.forward(&weight, true).unwrap();
        }
        let scaled = to_f64(&spectral.forward(&weight, false).unwrap()).unwrap();
        assert!((scaled[0] - 0.75).abs() < 1e-6 && (scaled[3] - 1.0).abs() < 1e-6, "{scaled:?}");
        // With u converged the gradient through numerator and denominator is the whole derivative.
        let worst = gradcheck::worst_error(&[weight], |w| {
            spectral.forward(&w[0], false).map_err(|error| mtl_tensor::Error::Msg(error.to_string()))
        });
        assert!(worst.unwrap() < 1e-5);
    }
}
