//! candle's side of `cargo xtask bench`: the tutorial's step, written as candle is written. The protocol is that of
//! `mtl-bench`.

#[path = "../../protocol.rs"]
mod protocol;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Linear, Module, Optimizer, ParamsAdamW,
    VarBuilder, VarMap, conv_transpose2d, conv2d, linear, loss,
};

const SIDE: usize = 64;
const CLASSES: usize = 10;

struct Tutorial {
    trunk: [Conv2d; 2],
    class: [Linear; 2],
    mask: [Conv2d; 2],
    image: [ConvTranspose2d; 2],
}

impl Tutorial {
    fn new(vb: &VarBuilder) -> Result<Self> {
        let same = Conv2dConfig { padding: 1, ..Default::default() };
        let double = ConvTranspose2dConfig { padding: 1, stride: 2, ..Default::default() };
        Ok(Self {
            trunk: [conv2d(3, 64, 3, same, vb.pp("conv1"))?, conv2d(64, 128, 3, same, vb.pp("conv2"))?],
            class: [linear(128 * 16 * 16, 128, vb.pp("class1"))?, linear(128, CLASSES, vb.pp("class2"))?],
            mask: [conv2d(128, 64, 3, same, vb.pp("mask1"))?, conv2d(64, 3, 3, same, vb.pp("mask2"))?],
            image: [
                conv_transpose2d(128, 64, 4, double, vb.pp("image1"))?,
                conv_transpose2d(64, 3, 4, double, vb.pp("image2"))?,
            ],
        })
    }

    fn loss(&self, images: &Tensor, labels: &Tensor, masks: &Tensor) -> Result<Tensor> {
        let first = self.trunk[0].forward(images)?.relu()?.max_pool2d(2)?;
        let deep = self.trunk[1].forward(&first)?.relu()?.max_pool2d(2)?;
        let logits = self.class[1].forward(&self.class[0].forward(&deep.flatten_from(1)?)?.relu()?)?;
        let mask = self.mask[1].forward(&self.mask[0].forward(&deep)?.relu()?)?;
        let image = self.image[1].forward(&self.image[0].forward(&deep)?.relu()?)?;
        (loss::cross_entropy(&logits, labels)? + loss::mse(&mask, masks)?)? + loss::mse(&image, images)?
    }
}

fn main() -> std::process::ExitCode {
    protocol::play("candle 0.11.1", |batch| {
        let device = Device::Cpu;
        let vars = VarMap::new();
        let model = Tutorial::new(&VarBuilder::from_varmap(&vars, DType::F32, &device))?;
        let parameters = vars.all_vars().iter().map(|var| var.elem_count()).sum();
        let mut optimizer = AdamW::new(vars.all_vars(), ParamsAdamW { lr: 1e-3, ..Default::default() })?;
        let images = Tensor::randn(0f32, 1.0, (batch, 3, SIDE, SIDE), &device)?.clamp(-1f32, 1f32)?;
        let masks = Tensor::randn(0f32, 1.0, (batch, 3, SIDE / 4, SIDE / 4), &device)?;
        let labels = Tensor::from_iter((0..batch).map(|at| (at % CLASSES) as u32), &device)?;
        let step = move || {
            let loss = model.loss(&images, &labels, &masks)?;
            optimizer.backward_step(&loss)?;
            Ok(f64::from(loss.to_scalar::<f32>()?))
        };
        Ok((parameters, Box::new(step) as protocol::Step))
    })
}
