//! Solver of the flow's differential equation `dz/dt = v(z, t)`.

use mtl_tensor::Tensor;

use crate::Error;

/// Integrates from time `from` to time `to` in equal midpoint steps; `velocity(z, t)` is evaluated twice per step. The error
/// falls with the square of the number of steps.
///
/// # Errors
/// Those of `velocity`.
pub(super) fn integrate(
    z: &Tensor,
    (from, to): (f64, f64),
    steps: usize,
    velocity: impl Fn(&Tensor, f64) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    let step = (to - from) / steps as f64;
    // Where no gradient to `z` is wanted, the graph of one evaluation is released before the next one.
    let velocity = |z: &Tensor, t: f64| -> Result<Tensor, Error> {
        let found = velocity(z, t)?;
        Ok(if z.track_op() { found } else { found.detach() })
    };
    let mut z = z.clone();
    for at in 0..steps {
        let t = from + step * at as f64;
        let half = (&z + (velocity(&z, t)? * (0.5 * step))?)?;
        z = (&z + (velocity(&half, t + 0.5 * step)? * step)?)?;
    }
    Ok(z)
}

#[cfg(test)]
mod tests {
    use mtl_tensor::Device;

    use super::*;

    #[test]
    fn the_error_falls_with_the_square_of_the_steps() {
        // dz/dt = t z, z(0) = 1: z(1) = exp(1/2), and back.
        let one = Tensor::new(&[1.0f64], &Device::Cpu).unwrap();
        let solve = |z: &Tensor, span, steps| integrate(z, span, steps, |z, t| Ok((z * t)?)).unwrap();
        let error = |steps| (solve(&one, (0.0, 1.0), steps).to_vec1::<f64>().unwrap()[0] - 0.5f64.exp()).abs();
        assert!(error(8) < 5e-3, "{}", error(8));
        let ratio = error(8) / error(16);
        assert!((3.5..4.5).contains(&ratio), "{ratio}");
        let back = solve(&solve(&one, (0.0, 1.0), 16), (1.0, 0.0), 16).to_vec1::<f64>().unwrap()[0];
        assert!((back - 1.0).abs() < 2e-3, "{back}");
    }
}
