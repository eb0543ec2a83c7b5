//! Mixture of Gaussians with one covariance in common, by expectation maximisation.

use mtl_rng::{Seed, Stream};

/// Passes of expectation maximisation.
const PASSES: usize = 20;
/// Images per component at least, on average.
const IMAGES_PER_COMPONENT: usize = 32;

/// Encodings of images, row-major.
#[derive(Clone, Copy)]
pub struct Points<'a> {
    /// Means, `[N, latent]`.
    pub mu: &'a [f64],
    /// Variances, `[N, latent]`.
    pub variance: &'a [f64],
    /// Length of a latent vector.
    pub latent: usize,
}

impl<'a> Points<'a> {
    fn mean(&self, at: usize) -> &'a [f64] {
        &self.mu[at * self.latent..][..self.latent]
    }
}

/// A fitted mixture.
#[derive(Debug)]
pub struct Mixture {
    /// Weight of each component, with sum 1.
    pub weights: Vec<f64>,
    /// Mean of each component.
    pub means: Vec<Vec<f64>>,
    /// Covariance within each component, row-major.
    pub covariance: Vec<f64>,
}

impl Mixture {
    /// Fits at most `components` components to the encodings `members`, at least one. `towards`: a covariance, and its share in
    /// the fitted one. The start is random with a fixed seed (k-means++, Arthur and Vassilvitskii 2007).
    pub fn fit(points: &Points<'_>, members: &[usize], components: usize, towards: Option<(&[f64], f64)>) -> Self {
        let count = components.min(members.len() / IMAGES_PER_COMPONENT).max(1);
        let mut stream = Seed::new(0).stream("prior", &[]);
        let means = spread_means(points, members, count, &mut stream);
        // Of one component the first pass is exact.
        let passes = if count == 1 { 1 } else { PASSES };
        let mut mixture = Self { weights: vec![1.0 / count as f64; count], means, covariance: Vec::new() };
        let mut shares: Vec<Vec<f64>> = members.iter().map(|&at| mixture.nearest(points.mean(at))).collect();
        for pass in 0..passes {
            mixture.maximise(points, members, &shares, towards);
            if pass + 1 < passes {
                shares = mixture.expect(points, members);
            }
        }
        mixture
    }

    /// Share 1 of the nearest mean.
    fn nearest(&self, x: &[f64]) -> Vec<f64> {
        let distances: Vec<f64> = self.means.iter().map(|mean| square_distance(x, mean)).collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let nearest = distances.iter().position(|&distance| distance == least);
        (0..distances.len()).map(|at| f64::from(u8::from(Some(at) == nearest))).collect()
    }

    /// Weights, means and covariance from the share of each component in each image.
    fn maximise(
        &mut self,
        points: &Points<'_>,
        members: &[usize],
        shares: &[Vec<f64>],
        towards: Option<(&[f64], f64)>,
    ) {
        let (n, latent) = (members.len() as f64, points.latent);
        let mut covariance = vec![0.0; latent * latent];
        for component in 0..self.means.len() {
            let total: f64 = shares.iter().map(|shares| shares[component]).sum();
            self.weights[component] = total / n;
            if total <= 1e-9 {
                continue;
            }
            let mut mean = vec![0.0; latent];
            for (&member, shares) in members.iter().zip(shares) {
                let share = shares[component] / total;
                mean.iter_mut().zip(points.mean(member)).for_each(|(mean, x)| *mean += share * x);
            }
            for (&member, shares) in members.iter().zip(shares) {
                let share = shares[component] / n;
                if share < 1e-12 {
                    continue;
                }
                let centred: Vec<f64> = points.mean(member).iter().zip(&mean).map(|(x, mean)| x - mean).collect();
                for i in 0..latent {
                    let scaled = share * centred[i];
                    let row = &mut covariance[i * latent..][..=i];
                    row.iter_mut().zip(&centred).for_each(|(sum, x)| *sum += scaled * x);
                }
            }
            self.means[component] = mean;
        }
        for &member in members {
            for i in 0..latent {
                covariance[i * latent + i] += points.variance[member * latent + i] / n;
            }
        }
        for i in 0..latent {
            for j in 0..i {
                covariance[j * latent + i] = covariance[i * latent + j];
            }
        }
        if let Some((other, share)) = towards {
            covariance.iter_mut().zip(other).for_each(|(own, other)| *own = share * other + (1.0 - share) * *own);
        }
        self.covariance = covariance;
    }

    /// The share of each component in each image.
    fn expect(&self, points: &Points<'_>, members: &[usize]) -> Vec<Vec<f64>> {
        let latent = points.latent;
        let factor = cholesky(&self.covariance, latent);
        let whitened: Vec<Vec<f64>> = self.means.iter().map(|mean| whiten(&factor, mean)).collect();
        let share_of = |&member: &usize| {
            let x = whiten(&factor, points.mean(member));
            let logs: Vec<f64> = whitened
                .iter()
                .zip(&self.weights)
                .map(|(mean, weight)| weight.max(1e-300).ln() - 0.5 * square_distance(&x, mean))
                .collect();
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
            let sum: f64 = shares.iter().sum();
            shares.into_iter().map(|share| share / sum).collect()
        };
        members.iter().map(share_of).collect()
    }
}

/// Means at images far from each other: each next one with a probability in proportion to its squared distance.
fn spread_means(points: &Points<'_>, members: &[usize], count: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut means = vec![points.mean(members[stream.below(members.len())]).to_vec()];
    let mut distances: Vec<f64> = vec![f64::INFINITY; members.len()];
    while means.len() < count {
        let newest = &means[means.len() - 1];
        for (distance, &member) in distances.iter_mut().zip(members) {
            *distance = distance.min(square_distance(points.mean(member), newest));
        }
        let mut at = stream.uniform() * distances.iter().sum::<f64>();
        let chosen = distances.iter().position(|distance| {
            at -= distance;
            at < 0.0
        });
        means.push(points.mean(members[chosen.unwrap_or(members.len() - 1)]).to_vec());
    }
    means
}

fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// `L^-1 x`; directions without variance are left out.
fn whiten(factor: &[f64], x: &[f64]) -> Vec<f64> {
    let n = x.len();
    let mut y = vec![0.0; n];
    for i in 0..n {
        let known: f64 = factor[i * n..][..i].iter().zip(&y).map(|(l, y)| l * y).sum();
        let pivot = factor[i * n + i];
        y[i] = if pivot > 1e-9 { (x[i] - known) / pivot } else { 0.0 };
    }
    y
}

/// Lower triangular `L` with `L L^T` the matrix; directions without variance become zero rows.
pub fn cholesky(matrix: &[f64], n: usize) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = matrix[i * n + j] - known;
            l[i * n + j] = match (i == j, l[j * n + j]) {
                (true, _) => rest.max(0.0).sqrt(),
                (false, pivot) if pivot > 1e-9 => rest / pivot,
                (false, _) => 0.0,
            };
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_by_hand() {
        // [[4, 2], [2, 10]] = [[2, 0], [1, 3]] [[2, 1], [0, 3]]
        let factor = cholesky(&[4.0, 2.0, 2.0, 10.0], 2);
        assert_eq!(factor, [2.0, 0.0, 1.0, 3.0]);
        assert_eq!(whiten(&factor, &[4.0, 5.0]), [2.0, 1.0]);
        assert_eq!(cholesky(&[0.0, 0.0, 0.0, 9.0], 2), [0.0, 0.0, 0.0, 3.0]);
    }

    #[test]
    fn one_component_has_the_moments_of_the_images() {
        let (mu, variance) = ([1.0, 3.0], [0.5, 1.5]);
        let mixture = Mixture::fit(&Points { mu: &mu, variance: &variance, latent: 1 }, &[0, 1], 8, None);
        assert_eq!((mixture.weights, mixture.means, mixture.covariance), (vec![1.0], vec![vec![2.0]], vec![2.0]));
    }
}
