//! ResNet: a small residual encoder with basic blocks and projection shortcuts (He et al. 2016, arXiv 1512.03385).
//!
//! A stem, then three stages at strides 2, 4 and 8, each of `blocks` basic blocks
//! `y = relu(x' + norm(conv3x3(relu(norm(conv3x3(x))))))`, where `x'` is `x`, or a normalised 1x1 convolution of it where
//! the shape changes.

use mtl_tensor::layers::{ConvNorm, NormKind};
use mtl_tensor::{Ctx, Result, Scope, Tensor, ops};
use serde::{Deserialize, Serialize};

use crate::{Features, TapSpec, Trunk, TrunkConfig, check_size};

/// Sizes by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Widths 24, 48, 96, one block per stage: 0.17 M parameters.
    Xs,
    /// Widths 32, 64, 128, two blocks per stage: 0.7 M parameters.
    #[default]
    S,
    /// Widths 64, 128, 256, two blocks per stage: 2.8 M parameters.
    M,
}

/// Stem: the layers before the first stage, with a total stride of 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// Pixel unshuffle of 2x2 blocks into channels, then a 3x3 convolution: lossless, and no layer at full resolution.
    #[default]
    Unshuffle,
    /// 3x3 convolution at full resolution, then one of stride 2: resolves finer patterns, costs as much as a stage.
    Full,
}

/// Settings of the ResNet: size, normalisation and stem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `xs`, `s` (default) or `m`.
    pub preset: Preset,
    /// Channels of the three stages. Default: the preset's.
    pub widths: Option<[usize; 3]>,
    /// Basic blocks per stage. Default: the preset's.
    pub blocks: Option<usize>,
    /// Normalisation: `batch` (default) or `group`.
    pub norm: NormKind,
    /// Stem: `unshuffle` (default) or `full`.
    pub stem: Stem,
}

impl Config {
    /// Channels of the three stages.
    pub fn stage_widths(&self) -> [usize; 3] {
        self.widths.unwrap_or(match self.preset {
            Preset::Xs => [24, 48, 96],
            Preset::S => [32, 64, 128],
            Preset::M => [64, 128, 256],
        })
    }

    fn stage_blocks(&self) -> usize {
        self.blocks.unwrap_or(if self.preset == Preset::Xs { 1 } else { 2 })
    }
}

impl TrunkConfig for Config {
    fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        Ok(Box::new(Resnet::new(self, scope, channels)?))
    }

    fn norm(&self) -> Option<NormKind> {
        Some(self.norm)
    }
}

/// Residual encoder with taps at strides 2, 4 and 8.
#[derive(Debug)]
pub struct Resnet {
    full: Option<ConvNorm>,
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
    taps: Vec<TapSpec>,
}

impl Resnet {
    /// Builds the encoder for images of `channels` channels, with its parameters in `scope`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, channels: usize) -> Result<Self> {
        let widths = config.stage_widths();
        let stem_scope = scope.sub("stem");
        let (full, stem) = match config.stem {
            Stem::Unshuffle => (None, ConvNorm::new(&stem_scope, (channels * 4, widths[0]), 3, 1, config.norm)?),
            Stem::Full => (
                Some(ConvNorm::new(&scope.sub("full"), (channels, widths[0] / 2), 3, 1, config.norm)?),
                ConvNorm::new(&stem_scope, (widths[0] / 2, widths[0]), 3, 2, config.norm)?,
            ),
        };
        let mut stages = Vec::new();
        let mut from = widths[0];
        for (stage, &to) in widths.iter().enumerate() {
            let blocks = (0..config.stage_blocks())
                .map(|block| {
                    let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                    let place = scope.sub(format!("stage{}.block{}", stage + 1, block + 1));
                    let made = Block::new(&place, (from, to), stride, config.norm);
                    from = to;
                    made
                })
                .collect::<Result<Vec<_>>>()?;
            stages.push(blocks);
        }
        let taps = widths.iter().zip([2, 4, 8]).map(|(&channels, stride)| TapSpec { stride, channels }).collect();
        Ok(Self { full, stem, stages, taps })
    }
}

impl Trunk for Resnet {
    fn taps(&self) -> &[TapSpec] {
        &self.taps
    }

    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<Features> {
        check_size(images, &self.taps)?;
        let entered = match &self.full {
            Some(full) => full.forward(images, true, cx)?,
            None => ops::pixel_unshuffle(images, 2)?,
        };
        let mut x = self.stem.forward(&entered, true, cx)?;
        let mut taps = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            for block in stage {
                x = block.forward(&x, cx)?;
            }
            taps.push(x.clone());
        }
        Ok(Features { taps })
    }
}

#[derive(Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn new(scope: &Scope, (from, to): (usize, usize), stride: usize, norm: NormKind) -> Result<Self> {
        let shortcut = if stride != 1 || from != to {
            Some(ConvNorm::new(&scope.sub("shortcut"), (from, to), 1, stride, norm)?)
        } else {
            None
        };
        Ok(Self {
            first: ConvNorm::new(&scope.sub("first"), (from, to), 3, stride, norm)?,
            second: ConvNorm::new(&scope.sub("second"), (to, to), 3, 1, norm)?,
            shortcut,
        })
    }

    fn forward(&self, x: &Tensor, cx: &Ctx) -> Result<Tensor> {
        let inner = self.first.forward(x, true, cx)?;
        let kept = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, false, cx)?,
            None => x.clone(),
        };
        self.second.forward_onto(&inner, &kept, cx)
    }
}
