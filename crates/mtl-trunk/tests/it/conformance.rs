//! Requirements on every registered trunk, in each of its variants.

use std::collections::BTreeMap;

use mtl_rng::Seed;
use mtl_tensor::layers::NormKind;
use mtl_tensor::optim::{collect, first_non_finite, square_norm};
use mtl_tensor::{Ctx, DType, Mode, Params, Tensor, backward, gradcheck, to_f64};
use mtl_trunk::{Config, Features, TRUNKS, Trunk, resnet};

const SIZES: [(usize, usize); 3] = [(32, 48), (64, 64), (32, 256)];

/// The registered default and every choice its configuration offers. A new trunk adds an arm.
fn variants() -> Vec<(String, Config)> {
    let mut all = Vec::new();
    for entry in TRUNKS {
        let default = (entry.item.default)();
        all.push((entry.name.to_owned(), default.clone()));
        match default {
            Config::Convnet(_) => {}
            Config::Resnet(_) => {
                for preset in [resnet::Preset::Xs, resnet::Preset::S, resnet::Preset::M] {
                    for norm in [NormKind::Batch, NormKind::Group] {
                        for stem in [resnet::Stem::Unshuffle, resnet::Stem::Full] {
                            let config = resnet::Config { preset, norm, stem, ..Default::default() };
                            all.push((format!("{} {preset:?} {norm:?} {stem:?}", entry.name), Config::Resnet(config)));
                        }
                    }
                }
            }
        }
    }
    all
}

fn normalises_by_batch(config: &Config) -> bool {
    matches!(config, Config::Resnet(resnet::Config { norm: NormKind::Batch, .. }))
}

fn build(config: &Config, channels: usize, dtype: DType) -> (Params, Box<dyn Trunk>) {
    let params = Params::new(Seed::new(5), dtype, gradcheck::device());
    let trunk = config.build(&params.scope("trunk"), channels).unwrap();
    (params, trunk)
}

fn images(name: &str, shape: (usize, usize, usize, usize), dtype: DType) -> Tensor {
    let values = Seed::new(6).stream(name, &[]).normals(shape.0 * shape.1 * shape.2 * shape.3);
    Tensor::from_vec(values, shape, gradcheck::device()).unwrap().to_dtype(dtype).unwrap()
}

/// The features' products with fixed random numbers, summed over all taps: every feature counts, and differently.
fn mixed(features: &Features) -> Tensor {
    let parts = features.taps.iter().enumerate().map(|(at, tap)| {
        let slope = Seed::new(7).stream("slope", &[at as u64]).normals(tap.elem_count());
        let slope = Tensor::from_vec(slope, tap.shape(), gradcheck::device()).unwrap().to_dtype(tap.dtype()).unwrap();
        (tap * slope).unwrap().sum_all().unwrap()
    });
    parts.reduce(|a, b| (a + b).unwrap()).unwrap()
}

fn values(vars: &BTreeMap<String, mtl_tensor::Var>) -> BTreeMap<String, Vec<f64>> {
    vars.iter().map(|(name, var)| (name.clone(), to_f64(var).unwrap())).collect()
}

/// The largest difference, relative to the largest value.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (to_f64(a).unwrap(), to_f64(b).unwrap());
    let size = a.iter().fold(1e-300, |size: f64, v| size.max(v.abs()));
    a.iter().zip(&b).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs())) / size
}

#[test]
fn every_parameter_gets_a_gradient() {
    for (name, config) in variants() {
        for channels in [1, 3] {
            let (params, trunk) = build(&config, channels, DType::F32);
            let x = images("images", (2, channels, 32, 48), DType::F32);
            let features = trunk.forward(&x, &Ctx::train(Seed::new(0), 0)).unwrap();
            let grads = collect(&backward(&mixed(&features)).unwrap(), &params.trainable());
            assert_eq!(first_non_finite(&grads), None, "{name}");
            for (parameter, var) in params.trainable() {
                let grad = grads.get(&parameter).unwrap_or_else(|| panic!("{name}: `{parameter}` gets no gradient"));
                assert_eq!(grad.dims(), var.dims(), "{name}: `{parameter}`");
                assert!(square_norm(grad).unwrap() > 0.0, "{name}: the gradient of `{parameter}` is zero");
            }
        }
    }
}

#[test]
fn taps_have_the_specified_shapes_at_every_size() {
    for (name, config) in variants() {
        for channels in [1, 3] {
            let (_, trunk) = build(&config, channels, DType::F32);
            assert!(!trunk.taps().is_empty(), "{name}");
            assert!(trunk.taps().windows(2).all(|pair| pair[0].stride < pair[1].stride), "{name}: finest first");
            for (h, w) in SIZES {
                let features = trunk.forward(&images("images", (2, channels, h, w), DType::F32), &Ctx::eval()).unwrap();
                assert_eq!(features.taps.len(), trunk.taps().len(), "{name}");
                for (tap, spec) in features.taps.iter().zip(trunk.taps()) {
                    assert_eq!(tap.dims(), [2, spec.channels, h / spec.stride, w / spec.stride], "{name}");
                    assert!(square_norm(tap).unwrap().is_finite(), "{name}");
                }
            }
        }
    }
}

#[test]
fn in_evaluation_an_image_does_not_depend_on_its_batch() {
    for (name, config) in variants() {
        let (_, trunk) = build(&config, 3, DType::F32);
        // Running statistics of their own first.
        trunk.forward(&images("seen", (4, 3, 32, 48), DType::F32), &Ctx::train(Seed::new(0), 0)).unwrap();
        let x = images("images", (3, 3, 32, 48), DType::F32);
        let together = trunk.forward(&x, &Ctx::eval()).unwrap();
        for image in 0..3 {
            let alone = trunk.forward(&x.narrow(0, image, 1).unwrap().contiguous().unwrap(), &Ctx::eval()).unwrap();
            for (a, b) in alone.taps.iter().zip(&together.taps) {
                let error = difference(a, &b.narrow(0, image, 1).unwrap().contiguous().unwrap());
                assert!(error < 1e-5, "{name}: image {image} changes by {error:e} with its batch");
            }
        }
    }
}

#[test]
fn group_norm_is_the_same_in_training_and_evaluation_and_batch_norm_is_not() {
    for (name, config) in variants() {
        let (params, trunk) = build(&config, 3, DType::F32);
        assert_eq!(!params.buffers().is_empty(), normalises_by_batch(&config), "{name}: running statistics");
        let x = images("images", (3, 3, 32, 48), DType::F32);
        let evaluated = trunk.forward(&x, &Ctx::eval()).unwrap();
        let trained = trunk.forward(&x, &Ctx::train(Seed::new(0), 0)).unwrap();
        let error = difference(evaluated.deepest().unwrap(), trained.deepest().unwrap());
        assert_eq!(error > 0.0, normalises_by_batch(&config), "{name}: {error:e}");
    }
}

#[test]
fn only_recorded_passes_update_running_statistics() {
    for (name, config) in variants() {
        let (params, trunk) = build(&config, 3, DType::F32);
        let before = values(&params.all());
        let cx = Ctx::train(Seed::new(0), 0);
        let x = images("images", (2, 3, 32, 48), DType::F32);
        trunk.forward(&x, &Ctx::eval()).unwrap();
        trunk.forward(&x, &cx.with_mode(Mode::TrainFrozenStats)).unwrap();
        assert_eq!(values(&params.all()), before, "{name}");
        trunk.forward(&x, &cx).unwrap();
        for (buffer, found) in values(&params.buffers()) {
            assert_ne!(found, before[&buffer], "{name}: `{buffer}` was not recorded");
        }
    }
}

#[test]
fn calibration_replaces_running_statistics_in_one_pass() {
    for (name, config) in variants() {
        let (_, trunk) = build(&config, 3, DType::F64);
        let x = images("images", (5, 3, 32, 48), DType::F64);
        let cx = Ctx::train(Seed::new(0), 0);
        trunk.forward(&images("others", (2, 3, 32, 48), DType::F64), &cx).unwrap();
        let calibrated = trunk.forward(&x, &cx.with_mode(Mode::Calibrate)).unwrap();
        let evaluated = trunk.forward(&x, &Ctx::eval()).unwrap();
        for (calibrated, evaluated) in calibrated.taps.iter().zip(&evaluated.taps) {
            // The running variance is unbiased, the batch's is not: by 1/120 at the coarsest tap.
            assert!(difference(calibrated, evaluated) < 0.02, "{name}");
        }
    }
}

#[test]
fn names_and_initial_values_follow_from_seed_and_scope() {
    for (name, config) in variants() {
        let (params, _) = build(&config, 3, DType::F32);
        assert!(params.all().keys().all(|key| key.starts_with("trunk.")), "{name}");
        assert_eq!(values(&params.all()), values(&build(&config, 3, DType::F32).0.all()), "{name}: equal seeds");
        let other = Params::new(Seed::new(6), DType::F32, gradcheck::device());
        config.build(&other.scope("trunk"), 3).unwrap();
        assert_ne!(values(&params.trainable()), values(&other.trainable()), "{name}: other seeds");
        assert!(config.build(&params.scope("trunk"), 3).is_err(), "{name}: built twice in one place");
    }
}

#[test]
fn images_of_other_channels_are_refused() {
    for (name, config) in variants() {
        let (_, trunk) = build(&config, 3, DType::F32);
        let x = images("images", (1, 1, 32, 48), DType::F32);
        assert!(trunk.forward(&x, &Ctx::eval()).is_err(), "{name} takes grey images for coloured ones");
    }
}

#[test]
fn registered_names_are_those_of_the_configuration_file() {
    for entry in TRUNKS {
        let table = serde_json::to_value((entry.item.default)()).unwrap();
        let keys: Vec<_> = table.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, [entry.name]);
        assert_eq!(serde_json::from_value::<Config>(table).unwrap(), (entry.item.default)(), "{}", entry.name);
        let bare = serde_json::json!({ entry.name: {} });
        assert_eq!(
            serde_json::from_value::<Config>(bare).unwrap(),
            (entry.item.default)(),
            "{}: an empty table",
            entry.name
        );
        let typo = serde_json::json!({ entry.name: { "widhts": 1 } });
        assert!(serde_json::from_value::<Config>(typo).is_err(), "{}: a typo", entry.name);
    }
    assert!(TRUNKS.iter().any(|entry| (entry.item.default)() == Config::default()), "the default is registered");
}

/// Central differences in f64, three coordinates of every parameter of small trunks, batch statistics included.
#[test]
fn gradients_are_those_of_central_differences() {
    const STEP: f64 = 1e-6;
    let mut small = vec![("convnet".to_owned(), Config::Convnet(mtl_trunk::convnet::Config { widths: [3, 4] }))];
    for norm in [NormKind::Batch, NormKind::Group] {
        for stem in [resnet::Stem::Unshuffle, resnet::Stem::Full] {
            let config = resnet::Config { widths: Some([4, 4, 6]), blocks: Some(1), norm, stem, ..Default::default() };
            small.push((format!("resnet {norm:?} {stem:?}"), Config::Resnet(config)));
        }
    }
    assert!(
        TRUNKS.iter().all(|entry| small.iter().any(|(name, _)| name.starts_with(entry.name))),
        "a trunk is left out"
    );
    for (name, config) in small {
        let (params, trunk) = build(&config, 3, DType::F64);
        let x = images("images", (2, 3, 16, 24), DType::F64);
        let cx = Ctx::train(Seed::new(0), 0).with_mode(Mode::TrainFrozenStats);
        let loss = || mixed(&trunk.forward(&x, &cx).unwrap());
        let grads = collect(&backward(&loss()).unwrap(), &params.trainable());
        for (parameter, var) in params.trainable() {
            let start = to_f64(&var).unwrap();
            let grad = to_f64(&grads[&parameter]).unwrap();
            let size = grad.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
            let mut stream = Seed::new(8).stream(&parameter, &[]);
            for _ in 0..3 {
                let at = stream.below(start.len());
                let moved = |h: f64| {
                    let mut values = start.clone();
                    values[at] += h;
                    var.set(&Tensor::from_vec(values, var.shape(), gradcheck::device()).unwrap()).unwrap();
                    loss().to_scalar::<f64>().unwrap()
                };
                let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let error = (grad[at] - numeric).abs();
                assert!(error < 1e-5 * size, "{name}: `{parameter}`[{at}] is {} and should be {numeric}", grad[at]);
            }
            var.set(&Tensor::from_vec(start, var.shape(), gradcheck::device()).unwrap()).unwrap();
        }
    }
}
