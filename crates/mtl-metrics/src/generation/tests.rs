use mtl_rng::Seed;

use super::neighbours::nearest;
use super::*;
use crate::error::Error;

/// Independent normals, plus `shift`, times `scale`.
fn normal(name: &str, images: usize, width: usize, shift: f64, scale: f64) -> Features<'static> {
    let values = Seed::new(5).stream(name, &[]).normals(images * width);
    let values: Vec<f64> = values.into_iter().map(|v| f64::from(v) * scale + shift).collect();
    Features::new(values, width).unwrap()
}

fn rows(features: &Features<'_>) -> Vec<Vec<f64>> {
    let zero = vec![0.0; features.width()];
    let of_row = |row| {
        let mut out = vec![0.0; features.width()];
        features.rows_into(row, &zero, &mut out);
        out
    };
    (0..features.images()).map(of_row).collect()
}

#[test]
fn whitening_gives_products_by_the_inverse_covariance() {
    // Correlated features of unequal size, and one that never differs.
    let source = rows(&normal("a", 400, 3, 0.0, 1.0));
    let mixed = |row: &Vec<f64>| [5.0 * row[0] + 1.0, 5.0 * row[0] + 0.5 * row[1], 0.1 * row[2], 7.0];
    let reference = Features::new(source.iter().flat_map(mixed).collect::<Vec<f64>>(), 4).unwrap();
    let white = rows(&Whitening::of(&reference).unwrap().apply(&reference).unwrap());
    let x = rows(&reference);
    let mean: Vec<f64> = (0..4).map(|j| x.iter().map(|row| row[j]).sum::<f64>() / 400.0).collect();
    let centred: Vec<Vec<f64>> = x.iter().map(|row| row.iter().zip(&mean).map(|(v, m)| v - m).collect()).collect();
    let covariance = |i: usize, j: usize| centred.iter().map(|row| row[i] * row[j]).sum::<f64>() / 399.0;
    let ridge = 0.1 * (0..4).map(|i| covariance(i, i)).sum::<f64>() / 4.0;
    let full = faer::Mat::from_fn(4, 4, |i, j| covariance(i, j) + if i == j { ridge } else { 0.0 });
    let inverse = faer::linalg::solvers::DenseSolveCore::inverse(&full.partial_piv_lu());
    let length = |row: &Vec<f64>| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    let longest = 2.0 * (white.iter().map(|row| length(row).powi(2)).sum::<f64>() / 400.0).sqrt();
    let ordinary: Vec<usize> = (0..400).filter(|&row| length(&white[row]) < 0.99 * longest).collect();
    assert!(ordinary.len() > 300);
    for (a, b) in [(0, 0), (0, 1), (17, 299)].map(|(a, b)| (ordinary[a], ordinary[b])) {
        let product: f64 = white[a].iter().zip(&white[b]).map(|(a, b)| a * b).sum();
        let expected: f64 = (0..16).map(|at| centred[a][at / 4] * inverse[(at / 4, at % 4)] * centred[b][at % 4]).sum();
        assert!((product - expected).abs() < 1e-5, "{product} instead of {expected}");
    }
    // An image far away keeps its direction.
    let far = Features::new(vec![1e6, 1e6, 0.0, 7.0], 4).unwrap();
    let far = rows(&Whitening::of(&reference).unwrap().apply(&far).unwrap());
    assert!((length(&far[0]) / longest - 1.0).abs() < 0.05, "{} of {longest}", length(&far[0]));
    assert!(matches!(Whitening::of(&reference).unwrap().apply(&normal("b", 2, 3, 0.0, 1.0)), Err(Error::Width { .. })));
    assert!(Whitening::of(&normal("b", 1, 3, 0.0, 1.0)).is_err());
}

#[test]
fn kid_is_the_sum_over_pairs() {
    // More rows than a block and than a tile, so that every kind of tile occurs.
    let (real, generated) = (normal("a", 300, 3, 0.0, 1.0), normal("b", 270, 3, 0.2, 1.0));
    let kernel = |a: &Vec<f64>, b: &Vec<f64>| (a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / 3.0 + 1.0).powi(3);
    let (x, y) = (rows(&real), rows(&generated));
    let within = |x: &[Vec<f64>]| {
        let n = x.len() as f64;
        let pairs = (0..x.len()).flat_map(|i| (0..x.len()).map(move |j| (i, j))).filter(|(i, j)| i != j);
        pairs.map(|(i, j)| kernel(&x[i], &x[j])).sum::<f64>() / (n * (n - 1.0))
    };
    let across: f64 = x.iter().flat_map(|a| y.iter().map(move |b| kernel(a, b))).sum();
    let expected = within(&x) + within(&y) - 2.0 * across / (300.0 * 270.0);
    let found = kid(&real, &generated).unwrap();
    assert!((found.value - expected).abs() < 1e-10, "{} instead of {expected}", found.value);
    assert_eq!((found.real, found.generated), (300, 270));
}

#[test]
fn kid_of_one_distribution_is_zero_on_average_and_may_be_negative() {
    let all = normal("one", 400, 4, 0.5, 1.0);
    let mut values = Vec::new();
    for split in 0..60 {
        let order = Seed::new(split).stream("split", &[]).permutation(400);
        values.push(kid(&all.select(&order[..200]), &all.select(&order[200..])).unwrap().value);
    }
    let (mean, spread) = spread_of(&values);
    let negative = values.iter().filter(|value| **value < 0.0).count();
    assert!(mean.abs() < 0.4 * spread, "{mean} with a spread of {spread}");
    assert!((15..60).contains(&negative), "{negative} of 60 are negative");
}

#[test]
fn subsets_have_a_mean_and_a_spread() {
    let (real, generated) = (normal("a", 90, 5, 0.0, 1.0), normal("b", 80, 5, 0.5, 1.0));
    let of = |size| kid_over_subsets(&real, &generated, 8, size, Seed::new(1)).unwrap();
    let some = of(40);
    assert!(some.spread.unwrap() > 1e-3 && some.value > 0.0);
    assert_eq!(some, of(40));
    // Subsets of all images are all images.
    let all = of(1000);
    assert!((all.value - kid(&real, &generated).unwrap().value).abs() < 1e-12 && all.spread.unwrap() < 1e-12);
}

#[test]
fn frechet_distance_of_shifted_and_scaled_sets() {
    for (images, width) in [(50, 8), (20, 64), (1500, 4)] {
        let one = normal("one", images, width, 0.0, 1.0);
        let value = |other: &Features<'_>| frechet_distance(&one, other).unwrap().value;
        assert!(value(&one) < 1e-9, "{images} {width}");
        // The same numbers, shifted by 2 in every feature.
        let shifted = normal("one", images, width, 2.0, 1.0);
        let expected = 4.0 * width as f64;
        assert!((value(&shifted) / expected - 1.0).abs() < 1e-9, "{images} {width}: {}", value(&shifted));
        // Scaled by 3: (3 - 1)^2 tr S around the mean, and the mean moves.
        let scaled = normal("one", images, width, 0.0, 3.0);
        let mean = one.mean();
        let all = rows(&one);
        let squares = all.iter().flat_map(|row| row.iter().zip(&mean).map(|(v, mean)| (v - mean) * (v - mean)));
        let trace = squares.sum::<f64>() / (images as f64 - 1.0);
        let expected = 4.0 * trace + 4.0 * mean.iter().map(|v| v * v).sum::<f64>();
        assert!((value(&scaled) / expected - 1.0).abs() < 1e-9, "{images} {width}");
    }
}

/// `tr (S_1 S_2)^(1/2)` by eigenvalues of covariances, as its definition has it.
#[test]
fn factors_give_the_distance_of_the_eigenvalues() {
    use faer::{Mat, Side};
    for (m, n, width) in [(90, 70, 10), (30, 80, 40), (12, 15, 25)] {
        let (one, other) = (normal("one", m, width, 0.3, 1.0), normal("other", n, width, 0.0, 1.4));
        let covariance = |features: &Features<'_>| {
            let (mean, all) = (features.mean(), rows(features));
            let count = all.len();
            let centred = Mat::from_fn(count, width, |i, j| all[i][j] - mean[j]);
            (mean, centred.transpose() * &centred * faer::Scale(1.0 / (count as f64 - 1.0)))
        };
        let ((mean, a), (other_mean, b)) = (covariance(&one), covariance(&other));
        let root = {
            let eigen = a.self_adjoint_eigen(Side::Lower).unwrap();
            let values: Vec<f64> = (0..width).map(|at| eigen.S()[at].max(0.0).sqrt()).collect();
            let scaled = Mat::from_fn(width, width, |i, j| eigen.U()[(i, j)] * values[j]);
            scaled * eigen.U().transpose()
        };
        let product = &root * &b * &root;
        let values = product.self_adjoint_eigenvalues(Side::Lower).unwrap();
        let cross: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        let trace = |s: &Mat<f64>| (0..width).map(|at| s[(at, at)]).sum::<f64>();
        let shift: f64 = mean.iter().zip(&other_mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let expected = shift + trace(&a) + trace(&b) - 2.0 * cross;
        let found = frechet_distance(&one, &other).unwrap().value;
        assert!((found / expected - 1.0).abs() < 1e-6, "{m} {n} {width}: {found} instead of {expected}");
    }
}

/// The package prdc gives 0.57 to 0.60 for precision and recall of 1,500 samples of N(0, I_1000), k = 5 (its published check has
/// 10,000 samples, and 0.477, 0.471, 1.056 and 0.974). The expectation of coverage is `1 - 2^-5` at any number.
#[test]
fn scores_of_two_samples_of_one_gaussian() {
    let (real, generated) = (normal("real", 1500, 1000, 0.0, 1.0), normal("generated", 1500, 1000, 0.0, 1.0));
    let Manifold { precision, recall, density, coverage } = manifold(&real, &generated, 5).unwrap();
    assert!(
        (0.53..0.64).contains(&precision.value) && (0.53..0.64).contains(&recall.value),
        "{precision:?} {recall:?}"
    );
    assert!((density.value - 1.0).abs() < 0.15, "{density:?}");
    assert!((coverage.value - 0.969).abs() < 0.02, "{coverage:?}");
}

#[test]
fn generators_that_blur_drop_modes_or_copy_are_told_apart() {
    let real = normal("real", 200, 6, 0.0, 1.0);
    // Little variety: near real images, few of them reached.
    let narrow = manifold(&real, &normal("narrow", 200, 6, 0.0, 0.3), 5).unwrap();
    assert!(narrow.precision.value > 0.95 && narrow.recall.value < 0.3 && narrow.coverage.value < 0.7, "{narrow:?}");
    // Far away.
    let far = manifold(&real, &normal("far", 200, 6, 9.0, 1.0), 5).unwrap();
    assert_eq!([far.precision, far.recall, far.density, far.coverage].map(|score| score.value), [0.0; 4]);
    // Copies of the real images: every ball holds its own centre.
    let same = manifold(&real, &real, 5).unwrap();
    assert_eq!((same.precision.value, same.recall.value, same.coverage.value), (1.0, 1.0, 1.0));
}

#[test]
fn nearest_rows_are_exact_far_from_the_origin_and_for_copies() {
    let points = normal("points", 300, 4, 1e6, 1.0);
    let queries = points.select(&[7, 299, 0]);
    let found = nearest(&queries, &points, 3, false);
    let all = rows(&points);
    for (query, found) in [7, 299, 0].into_iter().zip(found) {
        let square = |row: &usize| all[*row].iter().zip(&all[query]).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let mut order: Vec<usize> = (0..300).collect();
        order.sort_by(|a, b| square(a).total_cmp(&square(b)));
        assert_eq!(found.iter().map(|neighbour| neighbour.row).collect::<Vec<_>>(), order[..3]);
        assert_eq!(found[0].square, 0.0);
    }
}

#[test]
fn copies_of_training_images_are_found() {
    let training = normal("training", 240, 12, 0.0, 1.0);
    let held_out = normal("held out", 120, 12, 0.0, 1.0);
    let fresh = memorisation(&normal("fresh", 100, 12, 0.0, 1.0), &training, &held_out).unwrap();
    assert!((fresh.ratio / fresh.real_ratio - 1.0).abs() < 0.1, "{fresh:?}");
    assert_eq!((fresh.copies, fresh.generated, fresh.training, fresh.held_out), (0.0, 100, 240, 120));
    // Half of the samples are training images with a little noise.
    let noise = rows(&normal("noise", 50, 12, 0.0, 0.02));
    let originals = rows(&training);
    let copied = noise.iter().enumerate().map(|(at, noise)| originals[at * 3].iter().zip(noise).map(|(a, b)| a + b));
    let new = rows(&normal("fresh", 50, 12, 0.0, 1.0));
    let values: Vec<f64> = copied.flatten().chain(new.into_iter().flatten()).collect();
    let half = memorisation(&Features::new(values, 12).unwrap(), &training, &held_out).unwrap();
    assert_eq!(half.copies, 0.5);
    assert!(half.nearest[..50].iter().enumerate().all(|(at, nearest)| nearest.training == at * 3));
    // All of them exactly, one training image twice.
    let twice = training.select(&(0..240).chain([0]).collect::<Vec<_>>());
    let all = memorisation(&training.select(&[0, 5, 9]), &twice, &held_out).unwrap();
    assert_eq!((all.copies, all.ratio), (1.0, 0.0));
}

#[test]
fn floor_is_the_score_of_other_real_images() {
    let (held_out, training) = (normal("held out", 520, 6, 0.0, 1.0), normal("training", 700, 6, 0.0, 1.0));
    let floor = floor(&held_out, &training, 600, Seed::new(0)).unwrap();
    assert!(floor.kid.value.abs() < 0.05 && floor.coverage.value > 0.9, "{floor:?}");
    let Frechet::Distance(distance) = &floor.frechet else { panic!("520 images are enough") };
    assert!(distance.value > 0.0 && distance.value < 0.2);
    for score in floor.list() {
        assert_eq!((score.real, score.generated), (520, 600), "{}", score.name);
    }
    assert_eq!(floor.list().len(), 6);
    let few = super::floor(&held_out, &training, 100, Seed::new(0)).unwrap();
    assert_eq!(few.frechet, Frechet::TooFewImages { images: 100, needed: 500 });
    assert_eq!(few.list().len(), 5);
}

#[test]
fn means_over_classes_see_a_generator_that_ignores_its_labels() {
    // Two classes around -2 and 2; the generated images are right, their labels are not.
    let both = |name: &str| {
        let halves = [normal(name, 60, 4, -2.0, 1.0), normal("other", 60, 4, 2.0, 1.0)].map(|half| rows(&half));
        Features::new(halves.into_iter().flatten().flatten().collect::<Vec<f64>>(), 4).unwrap()
    };
    let (real, generated) = (both("real"), both("generated"));
    let labels: Vec<i32> = (0..120).map(|at| at / 60).collect();
    let swapped: Vec<i32> = (0..120).map(|at| at % 2).collect();
    let of =
        |labels_of_generated: &[i32]| compare_classes((&real, &labels), (&generated, labels_of_generated), 3).unwrap();
    let (right, wrong) = (of(&labels), of(&swapped));
    assert_eq!(right[0].name, "kid_within_classes");
    assert!(wrong[0].value > right[0].value.abs() + 5.0, "{wrong:?} {right:?}");
    // The third class has no image.
    assert!(right.iter().all(|score| score.classes == Some(ClassesScored { scored: 2, all: 3 })));
    assert_eq!((right[0].real, right[0].generated), (120, 120));
    let few = compare_classes((&real, &labels), (&generated, &[-1; 120]), 3).unwrap();
    assert!(few.is_empty());
}

#[test]
fn results_are_the_same_bytes_at_any_number_of_threads() {
    let (real, generated) = (normal("real", 510, 20, 0.0, 1.0), normal("generated", 515, 20, 0.1, 1.1));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let subsets = kid_over_subsets(&real, &generated, 5, 100, Seed::new(3)).unwrap();
            (compare(&real, &generated).unwrap(), subsets)
        })
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn bad_input_is_an_error_with_the_place() {
    let words = |result: Result<Features<'_>, Error>| result.unwrap_err().to_string();
    let bad = words(Features::new(vec![0.0f32, 1.0, 2.0, f32::NAN], 2));
    assert!(bad.contains("feature 1 of image 1 is NaN"), "{bad}");
    assert!(words(Features::new(vec![f64::INFINITY], 1)).contains("feature 0 of image 0 is inf"));
    assert!(words(Features::new(vec![0.0f32; 5], 2)).contains("5 values"));
    assert!(Features::new(vec![0.0f32; 5], 0).is_err());
    let (some, other, one) = (normal("a", 9, 3, 0.0, 1.0), normal("a", 9, 4, 0.0, 1.0), normal("a", 1, 3, 0.0, 1.0));
    assert_eq!(kid(&some, &other), Err(Error::Width { left: 3, right: 4 }));
    assert_eq!(
        frechet_distance(&some, &one).unwrap_err().to_string(),
        "frechet_distance: 1 generated images, at least 2 are needed"
    );
    assert!(manifold(&some, &some, 9).unwrap_err().to_string().contains("9 real images, at least 10 are needed"));
    assert!(manifold(&some, &some, 0).is_err() && kid_of_subsets(&some, &some, &[]).is_err());
    assert!(memorisation(&some, &one, &some).is_err() && compare(&one, &some).is_err());
    let labels = compare_classes((&some, &[0; 9]), (&some, &[7; 9]), 2);
    assert!(labels.unwrap_err().to_string().contains("label 0 is class 7"));
    // Equal features everywhere are no error: distances are 0.
    let flat = Features::new(vec![1.0f32; 30], 3).unwrap();
    let same = compare(&flat, &flat).unwrap();
    assert_eq!((same.kid.value, same.coverage.value), (0.0, 0.0));
}
