use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use mtl_metrics::generation::{Features, compare};
use mtl_rng::Seed;
use mtl_tensor::{Device, Tensor, ops, serial, to_f64};

use super::blocks::Network;
use super::weights::Weights;
use super::{Inception, InceptionReport, RealInception, WIDTH, resized};
use crate::eval::generation::images::Images;

#[path = "../../../../../../tests/goldens/inception.rs"]
mod golden;

type Tensors = BTreeMap<String, Tensor>;

static WEIGHTS: LazyLock<Tensors> = LazyLock::new(golden::weights);

fn bytes(tensors: &Tensors) -> Vec<u8> {
    serial::to_bytes(tensors, &BTreeMap::new()).unwrap()
}

fn network() -> Network {
    Network::new(Weights::read(&bytes(&WEIGHTS)).unwrap(), &Device::Cpu).unwrap()
}

fn images(count: usize, shape: (usize, usize, usize)) -> Images {
    let size = count * shape.0 * shape.1 * shape.2;
    let bytes = golden::uniform("images", size).map(|value| ((value + 0.5) * 256.0) as u8).collect();
    Images { bytes, shape, classes: vec![0; count] }
}

#[test]
fn features_are_those_of_torch_fidelity() {
    let (recorded, images) = (golden::recorded(), images(2, (3, 32, 40)));
    let pixels: Vec<f64> = images.bytes.iter().map(|byte| f64::from(*byte)).collect();
    assert_eq!(pixels, to_f64(&recorded["images"]).unwrap());
    let input = Tensor::from_vec(resized(&images, 0..2), (2, 3, 299, 299), &Device::Cpu).unwrap();
    let found = network().forward(&input).unwrap();
    assert_eq!(found.dims(), [2, WIDTH]);
    let (found, expected) = (to_f64(&found).unwrap(), to_f64(&recorded["features"]).unwrap());
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let error = found.iter().zip(&expected).fold(0.0, |error: f64, (a, b)| error.max((a - b).abs()));
    println!("largest difference {:.1e} of the largest feature", error / largest);
    assert!(error < 1e-5 * largest, "off by {error:e}, largest {largest}");
}

#[test]
fn grey_images_are_repeated() {
    let grey = images(3, (1, 5, 9));
    let colour = Images {
        bytes: grey.bytes.chunks_exact(45).flat_map(|plane| plane.repeat(3)).collect(),
        shape: (3, 5, 9),
        ..grey.clone()
    };
    let found = resized(&grey, 1..3);
    assert_eq!(found.len(), 2 * 3 * 299 * 299);
    assert_eq!(found, resized(&colour, 1..3));
    // The corner is a pixel, and images of the network's size stay as they are.
    assert_eq!(found[0], (f32::from(grey.bytes[45]) - 128.0) / 128.0);
    let whole = images(1, (3, 299, 299));
    let scaled: Vec<f32> = whole.bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0).collect();
    assert_eq!(resized(&whole, 0..1), scaled);
}

#[test]
fn a_folded_convolution_is_the_convolution_and_its_norm() {
    let (name, shape) = ("Conv2d_2b_3x3", [64, 32, 3, 3]);
    let (weight, bias) = Weights::read(&bytes(&WEIGHTS)).unwrap().folded(name, shape, &Device::Cpu).unwrap();
    let x: Vec<f32> = golden::uniform("x", 32 * 49).map(|value| value as f32).collect();
    let x = Tensor::from_vec(x, (1, 32, 7, 7), &Device::Cpu).unwrap();
    let folded = to_f64(&ops::conv2d_relu(&x, &weight, Some(&bias), 1, 1).unwrap()).unwrap();
    let raw = to_f64(&ops::conv2d(&x, &WEIGHTS[&format!("{name}.conv.weight")], None, 1, 1).unwrap()).unwrap();
    let norm = |part: &str| to_f64(&WEIGHTS[&format!("{name}.bn.{part}")]).unwrap();
    let (gamma, beta, mean, variance) = (norm("weight"), norm("bias"), norm("running_mean"), norm("running_var"));
    for (at, (folded, raw)) in folded.iter().zip(&raw).enumerate() {
        let channel = at / 49;
        let expected = (raw - mean[channel]) / (variance[channel] + 1e-3).sqrt() * gamma[channel] + beta[channel];
        assert!((folded - expected.max(0.0)).abs() < 1e-5, "{at}: {folded} {expected}");
    }
}

/// The message about a file with these bytes.
fn problem(bytes: &[u8]) -> String {
    match Weights::read(bytes).and_then(|weights| Network::new(weights, &Device::Cpu)) {
        Ok(_) => panic!("the file was read"),
        Err(problem) => problem,
    }
}

#[test]
fn other_files_are_refused_with_what_they_hold() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, mtl_tensor::DType::F32, &Device::Cpu).unwrap();
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = WEIGHTS.clone();
        change(&mut tensors);
        problem(&bytes(&tensors))
    };
    // torchvision's network, with and without its second classifier.
    let found = changed(&|all| drop(all.insert("AuxLogits.fc.bias".into(), zeros(&[1000]))));
    assert!(found.starts_with("torchvision's Inception-v3"), "{found}");
    let found = changed(&|all| drop(all.insert("fc.weight".into(), zeros(&[1000, 2048]))));
    assert!(found.starts_with("torchvision's Inception-v3"), "{found}");

    let found = changed(&|all| drop(all.insert("fc.weight".into(), zeros(&[10, 2048]))));
    assert_eq!(found, "`fc.weight` has the shape [10, 2048] instead of [1008, 2048]");
    let name = "Mixed_6c.branch7x7_2.conv.weight";
    let found = changed(&|all| drop(all.remove(name)));
    assert_eq!(found, format!("`{name}` is missing"));
    let found = changed(&|all| drop(all.insert(name.into(), zeros(&[160, 160, 7, 1]))));
    assert_eq!(found, format!("`{name}` has the shape [160, 160, 7, 1] instead of [160, 160, 1, 7]"));
    let found = changed(&|all| drop(all.insert("Mixed_8a.x".into(), zeros(&[1]))));
    assert_eq!(found, "`Mixed_8a.x` and 0 more tensors are not of this network");
    let nan = || Tensor::from_vec(vec![f32::NAN; 32], 32, &Device::Cpu).unwrap();
    let found = changed(&|all| drop(all.insert("Conv2d_1a_3x3.bn.bias".into(), nan())));
    assert_eq!(found, "`Conv2d_1a_3x3.bn.bias` holds numbers that are not finite");
    let negative = || zeros(&[32]).affine(1.0, -1.0).unwrap();
    let found = changed(&|all| drop(all.insert("Conv2d_1a_3x3.bn.running_var".into(), negative())));
    assert_eq!(found, "`Conv2d_1a_3x3.bn.running_var` is negative");

    assert_eq!(problem(b""), "the file is empty");
    let found = problem(b"<!DOCTYPE html><html>Not Found</html>");
    assert_eq!(found, "neither a checkpoint of PyTorch nor a safetensors file");
    let whole = bytes(&WEIGHTS);
    assert!(problem(&whole[..whole.len() / 2]).starts_with("a safetensors file that is cut short or damaged"));
    let other = Tensors::from([("layer.weight".into(), zeros(&[2, 2]))]);
    assert_eq!(problem(&bytes(&other)), "weights of another network (1 tensors, the first is `layer.weight`)");

    // Counters of PyTorch's batch norms are no tensors of the network.
    let mut counted = WEIGHTS.clone();
    counted.insert("Conv2d_1a_3x3.bn.num_batches_tracked".into(), zeros(&[]));
    assert!(Network::new(Weights::read(&bytes(&counted)).unwrap(), &Device::Cpu).is_ok());
}

#[test]
fn the_error_names_file_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.pth");
    std::fs::write(&file, "<html>").unwrap();
    let error = Inception::open(&file, 3, &Device::Cpu).err().unwrap();
    assert_eq!(error.kind(), crate::ErrorKind::Configuration);
    let text = error.to_string();
    assert!(text.starts_with("inception: ") && text.contains("page.pth: neither"), "{text}");
    let error = Inception::open(&file, 4, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(error, "inception: the run's images have 4 channels, and Inception-v3 takes grey or colour images");
    assert!(text.contains("expected pt_inception-2015-12-05-6726825d.pth"), "{text}");
}

fn inception(sha256: &str) -> Inception {
    Inception { network: network(), device: Device::Cpu, file: "some/weights.pth".into(), sha256: sha256.into() }
}

#[test]
fn only_published_weights_give_a_fid() {
    let features = || Features::new(Seed::new(0).stream("features", &[]).normals(500 * 4), 4).unwrap();
    let scores = compare(&features(), &features()).unwrap();
    let named = |sha256: &str| {
        let inception = inception(sha256);
        let report = InceptionReport {
            file: inception.file.clone(),
            sha256: sha256.into(),
            published: inception.published(),
            resize: "",
            kept: false,
        };
        let real = RealInception { inception, held_out: features(), training: features(), report };
        let scores = real.named(&scores);
        (scores.network, scores.scores[1].name.clone(), real.note())
    };
    let hash = |begin: &str| begin.to_owned() + &"0".repeat(64 - begin.len());
    assert_eq!(named(&hash("6726825d")), ("inception".into(), "fid".into(), None));
    let (network, score, note) = named(&hash("6726825e"));
    assert_eq!((network.as_str(), score.as_str()), ("Inception features of weights.pth", "frechet_distance"));
    assert!(note.unwrap().contains("begins with 6726825e, theirs with 6726825d"));
}

#[test]
fn features_of_real_images_are_kept_with_the_hashes_of_images_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    let (held_out, training) = (images(2, (1, 8, 8)), images(1, (3, 8, 8)));
    let of = |sha256: &str, held_out: &Images, folder: &Path| {
        let mut lines = 0;
        let real = RealInception::new(inception(sha256), folder, [held_out, &training], &mut |_| lines += 1).unwrap();
        (real.report.kept, lines, real.held_out)
    };
    let (kept, lines, first) = of("first", &held_out, dir.path());
    assert!(!kept && lines == 2);
    let (kept, lines, again) = of("first", &held_out, dir.path());
    assert!(kept && lines == 0);
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
    // Other weights, other images and a damaged file.
    assert!(!of("second", &held_out, dir.path()).0);
    assert!(!of("second", &held_out.select(&[1, 0]), dir.path()).0);
    let path = dir.path().join("inception.safetensors");
    let mut damaged = std::fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, damaged).unwrap();
    assert!(!of("second", &held_out.select(&[1, 0]), dir.path()).0);
}
