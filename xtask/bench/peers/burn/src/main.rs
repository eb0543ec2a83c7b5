//! burn's side of `cargo xtask bench`: the tutorial's step, written as burn is written. The protocol is that of `mtl-bench`.

#[path = "../../protocol.rs"]
mod protocol;

use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::relu;

const SIDE: usize = 64;
const CLASSES: usize = 10;

#[derive(Module, Debug)]
struct Tutorial {
    trunk: [Conv2d; 2],
    pool: MaxPool2d,
    class: [Linear; 2],
    mask: [Conv2d; 2],
    image: [ConvTranspose2d; 2],
}

impl Tutorial {
    fn new(device: &Device) -> Self {
        let conv = |from, to| {
            Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        let double = |from, to| {
            ConvTranspose2dConfig::new([from, to], [4, 4]).with_stride([2, 2]).with_padding([1, 1]).init(device)
        };
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self {
            trunk: [conv(3, 64), conv(64, 128)],
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            class: [linear(128 * 16 * 16, 128), linear(128, CLASSES)],
            mask: [conv(128, 64), conv(64, 3)],
            image: [double(128, 64), double(64, 3)],
        }
    }

    fn loss(
        &self,
        entropy: &CrossEntropyLoss,
        images: Tensor<4>,
        labels: Tensor<1, Int>,
        masks: Tensor<4>,
    ) -> Tensor<1> {
        let first = self.pool.forward(relu(self.trunk[0].forward(images.clone())));
        let deep = self.pool.forward(relu(self.trunk[1].forward(first)));
        let hidden = relu(self.class[0].forward(deep.clone().flatten::<2>(1, 3)));
        let logits = self.class[1].forward(hidden);
        let mask = self.mask[1].forward(relu(self.mask[0].forward(deep.clone())));
        let image = self.image[1].forward(relu(self.image[0].forward(deep)));
        let square = MseLoss::new();
        entropy.forward(logits, labels)
            + square.forward(mask, masks, Reduction::Mean)
            + square.forward(image, images, Reduction::Mean)
    }
}

fn main() -> std::process::ExitCode {
    protocol::play("burn 0.22.1 (flex)", |batch| {
        let plain = Device::flex();
        let device = plain.clone().autodiff();
        let mut model = Some(Tutorial::new(&device));
        let parameters = model.as_ref().map_or(0, Module::num_params);
        let mut optimizer = AdamWConfig::new().init();
        let entropy = CrossEntropyLossConfig::new().init(&device);
        let normal = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let images = normal([batch, 3, SIDE, SIDE]).clamp(-1.0, 1.0).detach();
        let masks = normal([batch, 3, SIDE / 4, SIDE / 4]);
        let labels: Vec<i32> = (0..batch).map(|at| (at % CLASSES) as i32).collect();
        let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
        let step = move || {
            let now = model.take().ok_or_else(|| anyhow::anyhow!("the model is gone"))?;
            let loss = now.loss(&entropy, images.clone(), labels.clone(), masks.clone());
            let grads = GradientsParams::from_grads(loss.backward(), &now);
            model = Some(optimizer.step(1e-3, now, grads));
            Ok(f64::from(loss.into_scalar::<f32>()))
        };
        Ok((parameters, Box::new(step) as protocol::Step))
    })
}
