//! A layer of candle-nn between two of ours, trained by our backward pass and optimizer.
//!
//! `cargo run --release -p mtl-tensor --features candle-nn --example candle_nn`

use candle_nn::Module;
use mtl_rng::Seed;
use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::optim::{Config, Optimizer, collect};
use mtl_tensor::{DType, Device, Params, Result, Tensor, backward, ops};

fn main() -> Result<()> {
    // Stripes of 16x16 pixels: down (0) or across (1).
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let mut random = Seed::new(2).stream("stripes", &[]);
    for _ in 0..64 {
        let (across, shift) = (random.below(2), random.below(4));
        labels.push(across as i32);
        pixels.extend((0..256).map(|at| if ([at / 16, at % 16][across] + shift) % 4 < 2 { 1f32 } else { -1.0 }));
    }
    let images = Tensor::from_vec(pixels, (64, 1, 16, 16), &Device::Cpu)?;

    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let first = Conv2d::new(&params.scope("first"), (1, 8), 3, 1, true)?;
    let config = candle_nn::Conv2dConfig { padding: 1, stride: 2, ..Default::default() };
    let middle = candle_nn::conv2d(8, 16, 3, config, params.scope("middle").var_builder())?;
    let classes = Linear::new(&params.scope("classes"), 16, 2)?;

    let trainable = params.trainable();
    let mut adam = Optimizer::new(Config::Adam { beta1: 0.9, beta2: 0.999 }, &trainable, |_| 1.0)?;
    let mut last = f32::INFINITY;
    for step in 0..60 {
        let h = middle.forward(&first.forward_relu(&images)?)?;
        let logits = classes.forward(&ops::global_avg_pool(&ops::relu(&h)?)?)?;
        let loss = ops::loss::cross_entropy(&logits, &labels, &Default::default())?;
        adam.step(&collect(&backward(&loss)?, &trainable), 1e-2, 1.0)?;
        last = loss.to_scalar()?;
        if step % 10 == 0 {
            println!("step {step}: loss {last:.4}");
        }
    }
    println!("after 60 steps: loss {last:.4}");
    assert!(last < 0.1, "the network has not learned which way the stripes run");
    Ok(())
}
