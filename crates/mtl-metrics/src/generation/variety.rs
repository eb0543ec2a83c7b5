//! Variety of images: their distances from each other.

use super::features::Features;

/// Root mean square distance between two different images: `sqrt(2 sum of the unbiased variances of the features)`. 0 for images
/// that are all alike; `None` for fewer than two images.
///
/// Cost: one pass over the features.
pub fn pairwise_distance(features: &Features<'_>) -> Option<f64> {
    let images = features.images();
    if images < 2 {
        return None;
    }
    let mean = features.mean();
    let mut row = vec![0.0; features.width()];
    let mut sum = 0.0;
    for image in 0..images {
        features.rows_into(image, &mean, &mut row);
        sum += row.iter().map(|v| v * v).sum::<f64>();
    }
    Some((2.0 * sum / (images - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_definition() {
        let values = [0.0, 0.0, 3.0, 4.0, 0.0, 8.0];
        let features = Features::new(&values[..], 2).unwrap();
        // Distances 5, 8, 5.
        let expected = ((25.0 + 64.0 + 25.0) / 3.0f64).sqrt();
        assert!((pairwise_distance(&features).unwrap() - expected).abs() < 1e-12);
        let alike = [0.5, 1.0, 0.5, 1.0];
        assert_eq!(pairwise_distance(&Features::new(&alike[..], 2).unwrap()), Some(0.0));
        assert_eq!(pairwise_distance(&Features::new(&alike[..2], 2).unwrap()), None);
    }
}
