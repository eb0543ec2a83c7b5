//! Trunks against PyTorch: forward, every gradient, running statistics, five optimizer steps.

use std::collections::BTreeMap;

use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, DType, Tensor, optim};
use mtl_trunk::{Config, convnet, resnet};

use crate::golden::{self, Golden, Network};

fn compare(name: &str, config: &Config, channels: usize, optimizer: optim::Config, lr: f64) {
    golden::compare(name, optimizer, lr, |golden: &Golden, dtype: DType| {
        let params = golden::params(dtype);
        let trunk = config.build(&params.scope("trunk"), channels).unwrap();
        let images = golden.tensor("images").to_dtype(dtype).unwrap();
        let pass = move |cx: &Ctx| {
            let taps = trunk.forward(&images, cx).unwrap().taps;
            // The mean of the features' products with fixed numbers, summed over taps.
            let mut loss: Option<Tensor> = None;
            for (at, tap) in taps.iter().enumerate() {
                let slope = golden.tensor(&format!("slope{at}")).to_dtype(dtype).unwrap();
                let part = (tap * slope).unwrap().mean_all().unwrap();
                loss = Some(match loss {
                    None => part,
                    Some(sum) => (sum + part).unwrap(),
                });
            }
            (taps.into_iter().enumerate().map(|(at, tap)| (format!("tap{at}"), tap)).collect(), loss.unwrap())
        };
        Network { params, inputs: BTreeMap::new(), pass: Box::new(pass) }
    });
}

fn resnet(norm: NormKind, stem: resnet::Stem, widths: [usize; 3], blocks: usize) -> Config {
    Config::Resnet(resnet::Config { widths: Some(widths), blocks: Some(blocks), norm, stem, ..Default::default() })
}

const ADAM: optim::Config = optim::Config::Adam { beta1: 0.9, beta2: 0.999 };
const ADAMW: optim::Config = optim::Config::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 0.05 };
const SGD: optim::Config = optim::Config::Sgd { momentum: 0.9, weight_decay: 0.0 };

/// tests/goldens/trunk_convnet.py
#[test]
fn convnet_equals_pytorch() {
    compare("trunk_convnet", &Config::Convnet(convnet::Config { widths: [8, 16] }), 3, ADAM, 0.003);
}

/// tests/goldens/trunk_resnet.py
#[test]
fn resnet_with_batch_norm_equals_pytorch() {
    let trunk = resnet(NormKind::Batch, resnet::Stem::Unshuffle, [8, 8, 16], 1);
    compare("trunk_resnet_batch_unshuffle", &trunk, 3, ADAMW, 0.0003);
    let trunk = resnet(NormKind::Batch, resnet::Stem::Full, [8, 8, 16], 1);
    compare("trunk_resnet_batch_full", &trunk, 3, ADAM, 0.0003);
}

/// tests/goldens/trunk_resnet.py
#[test]
fn resnet_with_group_norm_equals_pytorch() {
    let trunk = resnet(NormKind::Group, resnet::Stem::Unshuffle, [8, 8, 16], 1);
    compare("trunk_resnet_group_unshuffle", &trunk, 3, SGD, 0.01);
    let trunk = resnet(NormKind::Group, resnet::Stem::Full, [8, 8, 8], 2);
    compare("trunk_resnet_group_full", &trunk, 1, ADAMW, 0.0003);
}
