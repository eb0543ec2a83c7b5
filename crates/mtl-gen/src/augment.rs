//! DiffAugment: differentiable augmentation of real and generated images before the discriminator (Zhao et al. 2020, arXiv
//! 2006.10738).
//!
//! Each of colour, translation and cutout is applied to an image with a probability; a discriminator may adapt it while it trains
//! ([`crate::gan`]). Colour: `contrast (saturation x + (1 - saturation) grey(x)) + brightness`, a product with one 3x3 matrix per image (contrast
//! is relative to mid-grey, in the paper to the image's mean). Translation is by whole pixels. Cutout multiplies with a mask.
//! Uncovered pixels become 0, mid-grey.

use mtl_rng::Stream;
use mtl_tensor::{DType, Tensor, ops};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Strength of each augmentation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest shift as a fraction of the side, 0 to 0.5. Default 0.125, as in the paper.
    pub translation: f64,
    /// Side of the square that is cut out, as a fraction of the image's side, 0 to 1. Default 0; the paper has 0.5. It prevents
    /// the discriminator from overfitting to a few hundred images over many epochs.
    pub cutout: f64,
    /// Strength of the colour changes, 0 to 1. Default 0; the paper has 1. It serves the same purpose.
    pub colour: f64,
    /// Standard deviation of noise added to every pixel value in `[-1, 1]`, 0 to 1 (instance noise, Sonderby et al. 2017, arXiv
    /// 1610.04490). Default 0.
    pub noise: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { translation: 0.125, cutout: 0.0, colour: 0.0, noise: 0.0 }
    }
}

impl Config {
    /// No augmentation.
    pub const fn none() -> Self {
        Self { translation: 0.0, cutout: 0.0, colour: 0.0, noise: 0.0 }
    }

    /// # Errors
    /// A value outside its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (key, value, max) in [
            ("translation", self.translation, 0.5),
            ("cutout", self.cutout, 1.0),
            ("colour", self.colour, 1.0),
            ("noise", self.noise, 1.0),
        ] {
            if !(0.0..=max).contains(&value) {
                return Err(Error::option(key, value, format!("must lie between 0 and {max}")));
            }
        }
        Ok(())
    }

    /// Augments images `[B, C, H, W]`, each with random values of its own; colour, translation and cutout each with
    /// `probability`, 0 to 1.
    ///
    /// # Errors
    /// A tensor of another rank than 4.
    pub fn apply(&self, images: &Tensor, probability: f64, stream: &mut Stream) -> Result<Tensor, Error> {
        let mut x = images.clone();
        let batch = images.dim(0)?;
        let chosen = |stream: &mut Stream| -> Vec<bool> {
            (0..batch).map(|_| probability >= 1.0 || stream.uniform() < probability).collect()
        };
        if self.colour > 0.0 && probability > 0.0 {
            x = colour(&x, self.colour, &chosen(stream), stream)?;
        }
        if self.translation > 0.0 && probability > 0.0 {
            x = translate(&x, self.translation, &chosen(stream), stream)?;
        }
        if self.cutout > 0.0 && probability > 0.0 {
            x = cut_out(&x, self.cutout, &chosen(stream), stream)?;
        }
        if self.noise > 0.0 {
            let noise = Tensor::from_vec(stream.normals(x.elem_count()), x.shape(), x.device())?.to_dtype(x.dtype())?;
            x = (x + (noise * self.noise)?)?;
        }
        Ok(x)
    }
}

fn colour(x: &Tensor, strength: f64, chosen: &[bool], stream: &mut Stream) -> Result<Tensor, Error> {
    let (batch, channels, height, width) = x.dims4()?;
    let (mut mixes, mut shifts) = (Vec::with_capacity(batch * channels * channels), Vec::with_capacity(batch));
    for &chosen in chosen {
        let strength = if chosen { strength } else { 0.0 };
        let brightness = strength * stream.range(-0.5, 0.5);
        let saturation = 1.0 + strength * stream.range(-1.0, 1.0);
        let contrast = 1.0 + strength * stream.range(-0.5, 0.5);
        let saturation = if channels == 3 { saturation } else { 1.0 };
        let grey = contrast * (1.0 - saturation) / channels as f64;
        for at in 0..channels * channels {
            let own = if at / channels == at % channels { contrast * saturation } else { 0.0 };
            mixes.push(own + grey);
        }
        shifts.push(brightness);
    }
    let mixes = Tensor::from_vec(mixes, (batch, channels, channels), x.device())?.to_dtype(x.dtype())?;
    let shifts = Tensor::from_vec(shifts, (batch, 1, 1), x.device())?.to_dtype(x.dtype())?;
    let y = mixes.matmul(&x.reshape((batch, channels, height * width))?)?.broadcast_add(&shifts)?;
    Ok(y.reshape((batch, channels, height, width))?)
}

fn translate(x: &Tensor, share: f64, chosen: &[bool], stream: &mut Stream) -> Result<Tensor, Error> {
    let (_, _, height, width) = x.dims4()?;
    let mut shift = |side: usize| {
        let most = (side as f64 * share).round() as usize;
        stream.below(2 * most + 1) as isize - most as isize
    };
    let by: Vec<(isize, isize)> = chosen
        .iter()
        .map(|&chosen| (shift(height), shift(width), chosen))
        .map(|(down, right, chosen)| if chosen { (down, right) } else { (0, 0) })
        .collect();
    Ok(ops::shift(x, &by)?)
}

fn cut_out(x: &Tensor, share: f64, chosen: &[bool], stream: &mut Stream) -> Result<Tensor, Error> {
    let (batch, channels, height, width) = x.dims4()?;
    let (tall, wide) = ((height as f64 * share).round() as usize, (width as f64 * share).round() as usize);
    let mut mask = vec![1f32; batch * channels * height * width];
    for (image, &chosen) in mask.chunks_exact_mut(channels * height * width).zip(chosen) {
        // The centre is uniform over the image, so part of the square may lie outside.
        let (cy, cx) = (stream.below(height), stream.below(width));
        let (top, left) = (cy.saturating_sub(tall / 2), cx.saturating_sub(wide / 2));
        let (bottom, right) = ((cy + tall - tall / 2).min(height), (cx + wide - wide / 2).min(width));
        if !chosen {
            continue;
        }
        for plane in image.chunks_exact_mut(height * width) {
            for row in top..bottom {
                plane[row * width + left..row * width + right].fill(0.0);
            }
        }
    }
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(if x.dtype() == DType::F64 {
        DType::F64
    } else {
        DType::F32
    })?;
    Ok((x * mask)?)
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{Device, backward, gradcheck, to_f64};

    use super::*;

    fn image() -> Tensor {
        let values = Seed::new(3).stream("image", &[]).normals(2 * 3 * 8 * 8);
        Tensor::from_vec(values, (2, 3, 8, 8), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
    }

    fn stream() -> Stream {
        Seed::new(9).stream("augment", &[])
    }

    #[test]
    fn nothing_configured_changes_nothing() {
        let x = image();
        let y = Config::none().apply(&x, 1.0, &mut stream()).unwrap();
        assert_eq!(to_f64(&x).unwrap(), to_f64(&y).unwrap());
    }

    #[test]
    fn translation_moves_whole_pixels() {
        let x = image();
        let config = Config { translation: 0.25, ..Config::none() };
        let y = config.apply(&x, 1.0, &mut stream()).unwrap().to_vec3_of_first();
        let x = x.to_vec3_of_first();
        let mut draws = stream();
        let (dy, dx) = (draws.below(5) as i32 - 2, draws.below(5) as i32 - 2);
        for channel in 0..3 {
            for row in 0..8i32 {
                for column in 0..8i32 {
                    let from = (row - dy, column - dx);
                    let inside = (0..8).contains(&from.0) && (0..8).contains(&from.1);
                    let expected = if inside { x[channel][from.0 as usize][from.1 as usize] } else { 0.0 };
                    assert_eq!(y[channel][row as usize][column as usize], expected);
                }
            }
        }
    }

    trait First {
        fn to_vec3_of_first(&self) -> Vec<Vec<Vec<f64>>>;
    }
    impl First for Tensor {
        fn to_vec3_of_first(&self) -> Vec<Vec<Vec<f64>>> {
            self.get(0).unwrap().to_vec3().unwrap()
        }
    }

    #[test]
    fn gradients_of_each_are_right_and_not_zero() {
        for config in [
            Config { translation: 0.25, ..Config::none() },
            Config { cutout: 0.5, ..Config::none() },
            Config { colour: 1.0, ..Config::none() },
            Config { translation: 0.25, cutout: 0.5, colour: 1.0, noise: 0.1 },
        ] {
            let apply = |x: &Tensor| {
                config.apply(x, 1.0, &mut stream()).map_err(|error| mtl_tensor::Error::Msg(error.to_string()))
            };
            assert!(gradcheck::worst_error(&[image()], |t| apply(&t[0])).unwrap() < 1e-7, "{config:?}");
            let x = mtl_tensor::Var::from_tensor(&image()).unwrap();
            let grads = backward(&apply(&x).unwrap().sum_all().unwrap()).unwrap();
            let total: f64 = to_f64(grads.get(&x).unwrap()).unwrap().iter().map(|g| g.abs()).sum();
            assert!(total > 1.0, "{config:?}");
        }
    }

    #[test]
    fn colour_by_hand_on_a_grey_image() {
        // One channel: no saturation. Contrast scales, brightness adds.
        let x = Tensor::from_vec(vec![0.5f64, -0.5], (1, 1, 1, 2), &Device::Cpu).unwrap();
        let y = to_f64(&Config { colour: 1.0, ..Config::none() }.apply(&x, 1.0, &mut stream()).unwrap()).unwrap();
        let mut draws = stream();
        let (brightness, _, contrast) = (draws.range(-0.5, 0.5), draws.range(-1.0, 1.0), 1.0 + draws.range(-0.5, 0.5));
        assert!((y[0] - (0.5 * contrast + brightness)).abs() < 1e-12);
        assert!((y[1] - (-0.5 * contrast + brightness)).abs() < 1e-12);
    }
}
