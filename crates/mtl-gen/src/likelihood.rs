//! Gaussian likelihoods of reconstructions whose variance is the optimal one for the batch (sigma-VAE, Rybkin et al. 2021,
//! arXiv 2006.13202): `log(s / s0)` with `s^2 = mean square + s0^2`, in nats relative to a floor `s0`. Terms without a weight to
//! tune.

use mtl_tensor::{Ctx, Tensor, with_constant_weights};
use mtl_trunk::{Features, Trunk};

use crate::Error;

/// Floor of the pixel deviation: half a grey step.
const PIXEL_FLOOR: f64 = 1.0 / 255.0;
/// Floor of the mean squared feature distance (unit vectors differ by at most 4).
const FEATURE_FLOOR: f64 = 0.01;

/// Likelihood term of the mean squared error of pixels in `[-1, 1]`: a scalar.
pub(crate) fn pixels(mse: &Tensor) -> Result<Tensor, Error> {
    log_deviation(mse, PIXEL_FLOOR * PIXEL_FLOOR)
}

/// Perceptual loss of reconstructions, before its weight: a scalar. It is the likelihood of the frozen trunk's features, scaled
/// to unit length at each pixel (LPIPS, Zhang et al. 2018, arXiv 1801.03924): the mean over taps of `log(s_l / s_l0)`,
/// `s_l^2 = mean |n(f_l(x)) - n(f_l(x^))|^2 + s_l0^2`. `features` are those of the real images; they get no gradient, nor do the
/// trunk's parameters.
///
/// # Errors
/// Shapes that do not fit.
pub(crate) fn perceptual(trunk: &dyn Trunk, features: &Features, reconstruction: &Tensor) -> Result<Tensor, Error> {
    let fake = with_constant_weights(|| trunk.forward(reconstruction, &Ctx::eval()))?;
    let mut total: Option<Tensor> = None;
    for (real, fake) in features.taps.iter().zip(&fake.taps) {
        let distance = (unit_length(fake)? - unit_length(&real.detach())?)?.sqr()?.sum(1)?.mean_all()?;
        let term = log_deviation(&distance, FEATURE_FLOOR)?;
        total = Some(match total {
            Some(total) => (total + term)?,
            None => term,
        });
    }
    Ok((total.ok_or(Error::NoTaps)? / fake.taps.len() as f64)?)
}

/// `log(s / s0)` with `s^2 = mean square + s0^2`.
fn log_deviation(mean_square: &Tensor, floor: f64) -> Result<Tensor, Error> {
    Ok((((mean_square / floor)? + 1.0)?.log()? * 0.5)?)
}

/// Features scaled to length 1 at each pixel.
fn unit_length(x: &Tensor) -> Result<Tensor, Error> {
    let length = (x.sqr()?.sum_keepdim(1)? + 1e-4)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use mtl_tensor::{Device, gradcheck};

    use super::*;
    use crate::value;

    #[test]
    fn optimal_deviation_by_hand() {
        let at = |mean_square: f64| {
            value(&log_deviation(&Tensor::new(mean_square, &Device::Cpu).unwrap(), 0.25).unwrap()).unwrap()
        };
        // s^2 = 0.75 + 0.25 = 1, s / s0 = 2; a perfect reconstruction costs nothing.
        assert!((at(0.75) - 2f64.ln()).abs() < 1e-12 && at(0.0) == 0.0);
        // No other variance makes the Gaussian likelihood of errors with mean square m (floor included) larger:
        // m / (2 s^2) + log s is least at s^2 = m, where it is log s + 1/2.
        let cost = |s: f64, m: f64| m / (2.0 * s * s) + s.ln();
        let best = cost(1.0, 1.0);
        assert!((best - (at(0.75) - 2f64.ln() + 0.5)).abs() < 1e-12);
        assert!([0.8, 0.95, 1.05, 1.3].iter().all(|&s| cost(s, 1.0) > best));
    }

    #[test]
    fn gradients_of_the_terms() {
        let words = |error: Error| mtl_tensor::Error::Msg(error.to_string());
        let squares = Tensor::from_vec(vec![0.2f64, 0.9], (1, 2), &Device::Cpu).unwrap();
        let deviation = gradcheck::worst_error(&[squares], |t| log_deviation(&t[0], 0.01).map_err(words));
        assert!(deviation.unwrap() < 1e-6);
        let features = Tensor::from_vec(vec![0.4f64, -0.3, 1.0, 0.2, 0.9, -0.8], (1, 3, 1, 2), &Device::Cpu).unwrap();
        assert!(gradcheck::worst_error(&[features], |t| unit_length(&t[0]).map_err(words)).unwrap() < 1e-7);
    }
}
