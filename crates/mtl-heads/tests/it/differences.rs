//! Gradients of the whole model, trunk and head, against central differences in f64.

use std::collections::BTreeMap;

use mtl_heads::{Config, HeadInput};
use mtl_rng::Seed;
use mtl_tensor::layers::NormKind;
use mtl_tensor::optim::collect;
use mtl_tensor::{Ctx, DType, Mode, Params, Tensor, Var, backward, gradcheck, to_f64};
use mtl_trunk::{Trunk, convnet, resnet};

use crate::variants::{VALUES, labels, normals, variants, without};

const SIZE: (usize, usize) = (16, 24);

/// Two random coordinates of every parameter: the gradient differs by less than 1e-5 of the tensor's largest.
fn check(what: &str, params: &BTreeMap<String, Var>, loss: impl Fn() -> Tensor) {
    const STEP: f64 = 1e-6;
    let grads = collect(&backward(&loss()).unwrap(), params);
    for (parameter, var) in params {
        let start = to_f64(var).unwrap();
        let grad = grads.get(parameter).unwrap_or_else(|| panic!("{what}: `{parameter}` gets no gradient"));
        let grad = to_f64(grad).unwrap();
        let size = grad.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
        assert!(size > 0.0, "{what}: the gradient of `{parameter}` is zero");
        let mut stream = Seed::new(8).stream(parameter, &[]);
        for _ in 0..2 {
            let at = stream.below(start.len());
            let moved = |h: f64| {
                let mut values = start.clone();
                values[at] += h;
                var.set(&Tensor::from_vec(values, var.shape(), gradcheck::device()).unwrap()).unwrap();
                loss().to_scalar::<f64>().unwrap()
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let error = (grad[at] - numeric).abs();
            assert!(error < 1e-5 * size, "{what}: `{parameter}`[{at}] is {}, differences give {numeric}", grad[at]);
        }
        var.set(&Tensor::from_vec(start, var.shape(), gradcheck::device()).unwrap()).unwrap();
    }
}

/// A small trunk of every kind.
fn trunks() -> Vec<mtl_trunk::Config> {
    let resnet = |norm| {
        let config = resnet::Config { widths: Some([3, 4, 5]), blocks: Some(1), norm, ..Default::default() };
        mtl_trunk::Config::Resnet(config)
    };
    let convnet = mtl_trunk::Config::Convnet(convnet::Config { widths: [3, 4] });
    vec![convnet, resnet(NormKind::Batch), resnet(NormKind::Group)]
}

fn build(config: &mtl_trunk::Config) -> (Params, Box<dyn Trunk>, HeadInput) {
    let params = Params::new(Seed::new(3), DType::F64, gradcheck::device());
    let trunk = config.build(&params.scope("trunk"), 3).unwrap();
    let head_input = HeadInput {
        taps: trunk.taps().to_vec(),
        height: SIZE.0,
        width: SIZE.1,
        class_counts: None,
        values: Some(VALUES),
    };
    (params, trunk, head_input)
}

fn every_head(trunk_config: &mtl_trunk::Config) {
    for variant in variants() {
        let (params, trunk, head_input) = build(trunk_config);
        let head = variant.config.build(&params.scope("heads.leaf"), &variant.task, &head_input).unwrap();
        // A head that reads only the deepest tap still reaches every parameter: the taps lie on one path.
        let images = normals("images", &[3, 3, SIZE.0, SIZE.1], DType::F64);
        let all = labels(&variant.task.kind, 3, SIZE);
        let each = all.present() / 3;
        let target = without(&all, |at| at / each == 1 || (each > 1 && at % 5 == 2));
        let cx = Ctx::train(Seed::new(0), 0).with_mode(Mode::TrainFrozenStats);
        let what = format!("{} on {trunk_config:?}", variant.name);
        check(&what, &params.trainable(), || {
            let logits = head.forward(&trunk.forward(&images, &cx).unwrap(), &cx).unwrap();
            head.loss(&logits, &target).unwrap().unwrap()
        });
    }
}

#[test]
fn convnet_trunk_and_every_head() {
    every_head(&trunks()[0]);
}

#[test]
fn resnet_trunk_with_batch_norm_and_every_head() {
    every_head(&trunks()[1]);
}

#[test]
fn resnet_trunk_with_group_norm_and_every_head() {
    every_head(&trunks()[2]);
}

/// The code for CUDA and Metal, on one trunk and one variant of each head.
#[test]
fn the_same_with_the_code_for_accelerators() {
    let trunk_config = &trunks()[1];
    for variant in variants().into_iter().filter(|variant| variant.name.ends_with("default")) {
        let gradients = || {
            let (params, trunk, head_input) = build(trunk_config);
            let head = variant.config.build(&params.scope("heads.leaf"), &variant.task, &head_input).unwrap();
            let images = normals("images", &[3, 3, SIZE.0, SIZE.1], DType::F64);
            let cx = Ctx::train(Seed::new(0), 0);
            let logits = head.forward(&trunk.forward(&images, &cx).unwrap(), &cx).unwrap();
            let loss = head.loss(&logits, &labels(&variant.task.kind, 3, SIZE)).unwrap().unwrap();
            collect(&backward(&loss).unwrap(), &params.trainable())
        };
        let (ours, composed) = (gradients(), gradcheck::on_accelerator_code(gradients));
        assert_eq!(ours.keys().collect::<Vec<_>>(), composed.keys().collect::<Vec<_>>(), "{}", variant.name);
        for (name, grad) in &ours {
            let (a, b) = (to_f64(grad).unwrap(), to_f64(&composed[name]).unwrap());
            let size = a.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
            let error = a.iter().zip(&b).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
            assert!(error <= 1e-9 * size, "{}: `{name}` differs by {error:e} of {size:e}", variant.name);
        }
    }
    let served: Vec<Config> = variants().into_iter().map(|variant| variant.config).collect();
    assert!(mtl_heads::HEADS.iter().all(|entry| served.contains(&(entry.item.default)())));
}
