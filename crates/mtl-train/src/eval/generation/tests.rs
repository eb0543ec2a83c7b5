use mtl_rng::Seed;
use mtl_tensor::Device;

use super::evaluator::Evaluator;
use super::images::Images;
use super::random::RandomNetworks;

/// Stripes of 32x32 pixels in noise: class 0 across, class 1 down.
fn stripes(name: &str, count: usize) -> Images {
    let mut stream = Seed::new(3).stream(name, &[]);
    let (mut bytes, mut classes) = (Vec::new(), Vec::new());
    for at in 0..count {
        let (class, shift) = (at % 2, stream.below(4));
        let pixel = |at: usize| ([at / 32, at % 32][class] + shift) % 4 / 2;
        bytes.extend((0..32 * 32).map(|at| (pixel(at) * 150 + stream.below(100)) as u8));
        classes.push(class as i32);
    }
    Images { bytes, shape: (1, 32, 32), classes }
}

fn noise(count: usize) -> Images {
    let mut stream = Seed::new(3).stream("noise", &[]);
    let bytes = (0..count * 32 * 32).map(|_| stream.below(256) as u8).collect();
    Images { bytes, shape: (1, 32, 32), classes: vec![0; count] }
}

#[test]
fn random_networks_see_a_difference_and_none_where_there_is_none() {
    let (device, real) = (Device::Cpu, stripes("real", 128));
    let networks = RandomNetworks::new(1, &real, &device).unwrap();
    let features = |images: &Images| networks.features(images, &device).unwrap();
    let kid = |images: &Images| features(&real).kid(&features(images)).unwrap();
    let (same, other) = (kid(&stripes("other", 128)), kid(&noise(128)));
    assert!(same.value.abs() < 0.05 && other.value > 10.0 * same.value.abs() + 0.2, "{same:?} {other:?}");
    assert!(other.spread.is_some_and(|spread| spread > 0.0));
    // The same weights and bytes in every process.
    let again = RandomNetworks::new(1, &real, &device).unwrap();
    assert_eq!(again.features(&real, &device).unwrap().kid(&features(&noise(128))).unwrap(), other);
}

#[test]
fn the_evaluator_is_trained_once_per_set_of_images() {
    let (dir, device) = (tempfile::tempdir().unwrap(), Device::Cpu);
    let (training, test) = (stripes("training", 96), stripes("test", 64));
    let of = |images: &Images| Evaluator::kept_or_new(dir.path(), images, 2, &device).unwrap();
    let (first, kept) = of(&training);
    assert!(!kept && first.accuracy(&test, 2).unwrap().unwrap().value > 0.95);
    let (second, kept) = of(&training);
    assert!(kept && second.sha256 == first.sha256);
    assert_eq!(second.accuracy(&test, 2).unwrap(), first.accuracy(&test, 2).unwrap());
    // A damaged file is not used.
    let path = dir.path().join("evaluator.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (third, kept) = of(&training);
    assert!(!kept && third.sha256 == first.sha256);
    // Nor one of other labels.
    let relabelled = Images { classes: vec![1; 96], ..training.clone() };
    assert!(!of(&relabelled).1);
    // A classifier trained on images whose labels say nothing recognises nothing.
    let wrong = Images { classes: (0..96).map(|at| at / 2 % 2).collect(), ..training };
    let accuracy = Evaluator::accuracy_after_training_on(&wrong, &test, 2, &device).unwrap().unwrap().value;
    assert!((0.2..0.8).contains(&accuracy), "{accuracy}");
}
