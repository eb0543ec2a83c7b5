//! The autoencoder against PyTorch and central differences.

use std::collections::BTreeMap;

use mtl_gen::autoencoder::Autoencoder;
use mtl_rng::Seed;
use mtl_tensor::layers::NormKind;
use mtl_tensor::optim::{self, collect};
use mtl_tensor::{Ctx, DType, Mode, Params, Tensor, Var, backward, gradcheck, to_f64};
use mtl_trunk::{Features, TapSpec, convnet, resnet};

use crate::golden::{self, Golden, Network};

const ADAM: optim::Config = optim::Config::Adam { beta1: 0.9, beta2: 0.999 };

/// tests/goldens/autoencoder.py
#[test]
fn autoencoder_equals_pytorch() {
    golden::compare("autoencoder", ADAM, 0.0003, |golden: &Golden, dtype: DType| {
        let params = golden::params(dtype);
        let taps = [TapSpec { stride: 4, channels: 4 }];
        let network = Autoencoder::new(&params.scope("head"), &taps, 3).unwrap();
        let tap = Var::from_tensor(&golden.tensor("tap0").to_dtype(dtype).unwrap()).unwrap();
        let features = Features { taps: vec![tap.as_tensor().clone()] };
        let images = golden.tensor("images").clone();
        let pass = move |_: &Ctx| {
            let output = network.forward(&features).unwrap();
            let loss = network.loss(&output, &images).unwrap();
            (vec![("output".to_owned(), output)], loss)
        };
        Network { params, inputs: BTreeMap::from([("tap0".to_owned(), tap)]), pass: Box::new(pass) }
    });
}

/// Two random coordinates of every parameter: the gradient differs by less than 1e-5 of the tensor's largest.
#[test]
fn gradients_through_every_trunk_are_those_of_central_differences() {
    const STEP: f64 = 1e-6;
    let resnet = |norm| {
        let config = resnet::Config { widths: Some([3, 4, 5]), blocks: Some(1), norm, ..Default::default() };
        mtl_trunk::Config::Resnet(config)
    };
    let convnet = mtl_trunk::Config::Convnet(convnet::Config { widths: [3, 4] });
    for config in [convnet, resnet(NormKind::Batch), resnet(NormKind::Group)] {
        let params = Params::new(Seed::new(3), DType::F64, gradcheck::device());
        let trunk = config.build(&params.scope("trunk"), 3).unwrap();
        let network = Autoencoder::new(&params.scope("autoencoder"), trunk.taps(), 3).unwrap();
        let values = Seed::new(4).stream("images", &[]).normals(3 * 3 * 16 * 24);
        let images =
            Tensor::from_vec(values, (3, 3, 16, 24), gradcheck::device()).unwrap().to_dtype(DType::F64).unwrap();
        let cx = Ctx::train(Seed::new(0), 0).with_mode(Mode::TrainFrozenStats);
        let loss = || {
            let output = network.forward(&trunk.forward(&images, &cx).unwrap()).unwrap();
            network.loss(&output, &images).unwrap()
        };
        // It reads the tap of stride 4: the layers behind that tap get no gradient.
        let reached: BTreeMap<String, Var> =
            params.trainable().into_iter().filter(|(name, _)| !name.starts_with("trunk.stage3")).collect();
        let grads = collect(&backward(&loss()).unwrap(), &reached);
        for (parameter, var) in &reached {
            let start = to_f64(var).unwrap();
            let grad = grads.get(parameter).unwrap_or_else(|| panic!("{config:?}: `{parameter}` gets no gradient"));
            let grad = to_f64(grad).unwrap();
            let size = grad.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
            assert!(size > 0.0, "{config:?}: the gradient of `{parameter}` is zero");
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
                assert!(error < 1e-5 * size, "{config:?}: `{parameter}`[{at}] is {}, not {numeric}", grad[at]);
            }
            var.set(&Tensor::from_vec(start, var.shape(), gradcheck::device()).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_trunk_without_a_tap_of_stride_4_is_refused() {
    let params = Params::new(Seed::new(3), DType::F32, gradcheck::device());
    let error = Autoencoder::new(&params.scope("a"), &[TapSpec { stride: 2, channels: 4 }], 3).unwrap_err();
    assert!(error.to_string().contains("stride 4"), "{error}");
}
