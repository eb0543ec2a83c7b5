//! Feature matching: the squared maximum mean discrepancy (MMD, Gretton et al. 2012) between features of generated images and those
//! of the training images, unbiased.
//!
//! ```text
//! MMD^2 = mean over i != j of k(g_i, g_j) + mean over i != j of k(x_i, x_j) - 2 mean over i, j of k(g_i, x_j)
//! k(a, b) = mean over s in {1/2, 1, 2} of exp(-|a - b|^2 / (2 (s m)^2)),  m: median distance of training images
//! ```
//! `x` are the features of all training images, up to [`REFERENCE_IMAGES`], kept for the whole stage: with a batch of them the
//! second and third term would be noise. The first term pushes generated images apart, so that a generator cannot satisfy the
//! loss with one image, as it can with means (Salimans et al. 2016, arXiv 1606.03498).
//!
//! Features are descriptors of a network's taps: means over a grid with two cells along the shorter side, and the standard
//! deviation of each channel; each number standardised by its mean and deviation over training images. The networks are the
//! shared trunk and untrained ones: a generator can satisfy one representation while images stay visibly wrong.

use mtl_tensor::{Tensor, ops, to_f64};
use mtl_trunk::Features;

use crate::{Error, value};

/// Training images whose features are kept.
pub const REFERENCE_IMAGES: usize = 5000;
/// Images for the median distance and for the constant term.
const MEDIAN_IMAGES: usize = 512;
/// Width of the widest kernel, in median distances. The others are half and a quarter as wide: its fourth and sixteenth power.
const WIDEST: f64 = 2.0;

/// Descriptors of each tap, `[B, D]`.
pub(super) fn descriptors(features: &Features) -> Result<Vec<Tensor>, Error> {
    features.taps.iter().map(descriptor).collect()
}

fn descriptor(tap: &Tensor) -> Result<Tensor, Error> {
    let (batch, channels, height, width) = tap.dims4()?;
    let mean = ops::global_avg_pool(tap)?.reshape((batch, channels))?;
    let square = ops::global_avg_pool(&tap.sqr()?)?.reshape((batch, channels))?;
    let deviation = ((ops::relu(&(square - mean.sqr()?)?)? + 1e-6)?).sqrt()?;
    let cell = height.min(width) / 2;
    let cells = if cell > 0 && height.is_multiple_of(cell) && width.is_multiple_of(cell) {
        ops::avg_pool2d(tap, cell)?.flatten_from(1)?
    } else {
        mean
    };
    Ok(Tensor::cat(&[&cells, &deviation], 1)?)
}

/// Descriptors of the training images in one network.
#[derive(Debug)]
pub(super) struct Reference {
    taps: Vec<TapReference>,
}

#[derive(Debug)]
struct TapReference {
    /// Mean and `1 / deviation` over training images, `[1, D]`.
    mean: Tensor,
    scale: Tensor,
    /// Standardised descriptors times -2, `[N, D]`, and their squared lengths, `[N]`.
    real: Tensor,
    squares: Tensor,
    median: f64,
    /// Mean kernel of pairs of training images.
    constant: f64,
}

impl Reference {
    /// From the descriptors of all training images: for each batch those of each tap.
    pub fn new(batches: &[Vec<Tensor>]) -> Result<Self, Error> {
        let taps = batches.first().map_or(0, Vec::len);
        let taps = (0..taps).map(|tap| {
            let all: Vec<&Tensor> = batches.iter().map(|batch| &batch[tap]).collect();
            TapReference::new(&Tensor::cat(&all, 0)?)
        });
        Ok(Self { taps: taps.collect::<Result<_, Error>>()? })
    }

    /// MMD^2 of the descriptors of generated images, mean over the taps: a scalar with its graph.
    pub fn distance(&self, fake: &[Tensor]) -> Result<Tensor, Error> {
        let mut total: Option<Tensor> = None;
        for (tap, fake) in self.taps.iter().zip(fake) {
            let term = tap.distance(fake)?;
            total = Some(match total {
                Some(total) => (total + term)?,
                None => term,
            });
        }
        Ok((total.ok_or(Error::NoTaps)? / self.taps.len() as f64)?)
    }
}

impl TapReference {
    fn new(all: &Tensor) -> Result<Self, Error> {
        let mean = all.mean_keepdim(0)?;
        let centred = all.broadcast_sub(&mean)?;
        let deviation = centred.sqr()?.mean_keepdim(0)?.sqrt()?;
        // A number that is the same for all images has no scale; its floor keeps rounding errors from being a difference.
        let floor = to_f64(&deviation.mean_all()?)?[0].max(1e-6) * 1e-3;
        let scale = deviation.maximum(&(deviation.zeros_like()? + floor)?)?.recip()?;
        let real = centred.broadcast_mul(&scale)?;
        let squares = real.sqr()?.sum(1)?;
        let count = real.dim(0)?.min(MEDIAN_IMAGES);
        let distances = square_distances(&real.narrow(0, 0, count)?)?;
        let real = (real * -2.0)?;
        let mut reference = Self { mean, scale, real, squares, median: 1.0, constant: 0.0 };
        let values = to_f64(&distances)?;
        let mut pairs: Vec<f64> =
            (0..count).flat_map(|row| values[row * count..][..row].iter().map(|d| d.max(0.0).sqrt())).collect();
        if pairs.iter().any(|distance| !distance.is_finite()) {
            return Err(Error::NonFinite { what: "a feature of a training image".to_owned() });
        }
        pairs.sort_by(f64::total_cmp);
        reference.median = pairs.get(pairs.len() / 2).copied().filter(|&median| median > 0.0).unwrap_or(1.0);
        if count > 1 {
            reference.constant = value(&mean_of_pairs(&reference.kernel(&distances)?)?)?;
        }
        Ok(reference)
    }

    fn distance(&self, fake: &Tensor) -> Result<Tensor, Error> {
        let fake = fake.broadcast_sub(&self.mean)?.broadcast_mul(&self.scale)?; // [B, D]
        // The training images are constants: our operator computes no gradient for them.
        let products = ops::linear(&fake, &self.real, &self.squares)?;
        let cross = self.kernel(&products.broadcast_add(&fake.sqr()?.sum_keepdim(1)?)?)?.mean_all()?;
        let own = mean_of_pairs(&self.kernel(&square_distances(&fake)?)?)?;
        Ok(((own - (cross * 2.0)?)? + self.constant)?)
    }

    /// Mean of the kernels of all widths, of squared distances.
    fn kernel(&self, square_distances: &Tensor) -> Result<Tensor, Error> {
        let widest = (square_distances * (-0.5 / (WIDEST * self.median).powi(2)))?.exp()?;
        let half = widest.sqr()?.sqr()?;
        let quarter = half.sqr()?.sqr()?;
        Ok((((widest + half)? + quarter)? / 3.0)?)
    }
}

/// Squared distance of each pair of rows of `x [N, D]`: `[N, N]`.
fn square_distances(x: &Tensor) -> Result<Tensor, Error> {
    let squares = x.sqr()?.sum_keepdim(1)?;
    Ok((x.matmul(&x.t()?)? * -2.0)?.broadcast_add(&squares)?.broadcast_add(&squares.t()?)?)
}

/// Mean of the kernel `[B, B]` over pairs of different images. The kernel of an image with itself is 1.
fn mean_of_pairs(kernel: &Tensor) -> Result<Tensor, Error> {
    let count = kernel.dim(0)? as f64;
    if count < 2.0 {
        return Ok((kernel.sum_all()? * 0.0)?);
    }
    Ok(((kernel.sum_all()? - count)? / (count * (count - 1.0)))?)
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, gradcheck};

    use super::*;

    fn normals(name: &str, rows: usize, columns: usize, shift: f64) -> Tensor {
        let values = Seed::new(4).stream(name, &[]).normals(rows * columns);
        let values = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        (values + shift).unwrap()
    }

    fn distance(reference: &TapReference, fake: &Tensor) -> f64 {
        value(&reference.distance(fake).unwrap()).unwrap()
    }

    #[test]
    fn by_the_definition() {
        let (real, fake) = (normals("real", 5, 3, 0.0), normals("fake", 4, 3, 0.5));
        let reference = TapReference::new(&real).unwrap();
        let rows = |x: &Tensor| -> Vec<Vec<f64>> {
            let x = x.broadcast_sub(&reference.mean).unwrap().broadcast_mul(&reference.scale).unwrap();
            x.to_vec2().unwrap()
        };
        let (x, g) = (rows(&real), rows(&fake));
        let kernel = |a: &[f64], b: &[f64]| {
            let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            [0.5, 1.0, 2.0].map(|s| (-square / (2.0 * (s * reference.median).powi(2))).exp()).iter().sum::<f64>() / 3.0
        };
        let pairs = |x: &[Vec<f64>]| {
            let n = x.len();
            let all = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
            all.map(|(i, j)| kernel(&x[i], &x[j])).sum::<f64>() / (n * (n - 1)) as f64
        };
        let cross = g.iter().map(|g| x.iter().map(|x| kernel(g, x)).sum::<f64>()).sum::<f64>() / 20.0;
        let expected = pairs(&g) + pairs(&x) - 2.0 * cross;
        assert!((distance(&reference, &fake) - expected).abs() < 1e-10);
        let worst = gradcheck::worst_error(&[fake], |t| {
            reference.distance(&t[0]).map_err(|error| mtl_tensor::Error::Msg(error.to_string()))
        });
        assert!(worst.unwrap() < 1e-6);
    }

    #[test]
    fn unbiased_and_larger_for_another_distribution_and_for_one_repeated_image() {
        let reference = TapReference::new(&normals("real", 2000, 4, 0.0)).unwrap();
        let mean = |shift: f64| {
            let draws = (0..200).map(|at| distance(&reference, &normals(&format!("fake{at}"), 16, 4, shift)));
            draws.sum::<f64>() / 200.0
        };
        // Of the same distribution: 0 on average, though a batch has 16 images; a biased estimate would be 1/16 of the kernel.
        assert!(mean(0.0).abs() < 0.005, "{}", mean(0.0));
        assert!(mean(0.5) > 0.03);
        let repeated = normals("one", 1, 4, 0.0).repeat((16, 1)).unwrap();
        assert!(distance(&reference, &repeated) > 0.3);
    }

    #[test]
    fn descriptors_of_a_map() {
        // One channel, 2x4: cells of 1x1, then the deviation.
        let map: Vec<f64> = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let map = Tensor::from_vec(map, (1, 1, 2, 4), &Device::Cpu).unwrap();
        let found = to_f64(&descriptor(&map).unwrap()).unwrap();
        assert_eq!(found[..8], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert!((found[8] - 5.25f64.sqrt()).abs() < 1e-6);
    }
}
