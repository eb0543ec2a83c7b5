//! Inception-v3 as the FID is defined on: the TensorFlow network of 2015-12-05 up to its last average (Szegedy et al. 2016, arXiv
//! 1512.00567).
//!
//! It differs from torchvision's network in its pools: averages leave out pixels beyond the border, and the last block takes
//! the maximum. Every convolution has a batch norm, folded into its weights, and a ReLU.

use mtl_tensor::ops::{self, Sliding};
use mtl_tensor::{Device, Tensor};

use super::weights::Weights;

/// Kernel, stride and padding of a convolution.
#[derive(Clone, Copy)]
struct Kernel {
    size: (usize, usize),
    stride: usize,
    padding: (usize, usize),
}

impl Kernel {
    /// Keeps height and width.
    const fn same(height: usize, width: usize) -> Self {
        Self { size: (height, width), stride: 1, padding: (height / 2, width / 2) }
    }

    /// Without padding.
    const fn valid(side: usize, stride: usize) -> Self {
        Self { size: (side, side), stride, padding: (0, 0) }
    }
}

const POINT: Kernel = Kernel::same(1, 1);
const THREE: Kernel = Kernel::same(3, 3);
const HALVE: Kernel = Kernel::valid(3, 2);
const MAX_HALVE: Part = Part::Max(Sliding { k: 3, stride: 2, padding: 0 });

/// One layer of the table: name, output channels, kernel.
type Layer = (&'static str, usize, Kernel);

/// A part of a branch.
enum Part<L = Layer> {
    Conv(L),
    /// Two layers on the same input, side by side.
    Fork(L, L),
    /// Average over 3 x 3 pixels, then a layer with a kernel of one pixel.
    Average(L),
    Max(Sliding),
}

/// Branches on the same input, side by side.
type Block<L = Layer> = Vec<Vec<Part<L>>>;

/// The blocks, with the prefix of their names.
fn table() -> Vec<(&'static str, Block)> {
    use Part::{Average, Conv, Fork};
    let stem = vec![
        Conv(("Conv2d_1a_3x3", 32, HALVE)),
        Conv(("Conv2d_2a_3x3", 32, Kernel::valid(3, 1))),
        Conv(("Conv2d_2b_3x3", 64, THREE)),
        MAX_HALVE,
        Conv(("Conv2d_3b_1x1", 80, POINT)),
        Conv(("Conv2d_4a_3x3", 192, Kernel::valid(3, 1))),
        MAX_HALVE,
    ];
    let a = |pool| {
        vec![
            vec![Conv(("branch1x1", 64, POINT))],
            vec![Conv(("branch5x5_1", 48, POINT)), Conv(("branch5x5_2", 64, Kernel::same(5, 5)))],
            vec![
                Conv(("branch3x3dbl_1", 64, POINT)),
                Conv(("branch3x3dbl_2", 96, THREE)),
                Conv(("branch3x3dbl_3", 96, THREE)),
            ],
            vec![Average(("branch_pool", pool, POINT))],
        ]
    };
    let b = vec![
        vec![Conv(("branch3x3", 384, HALVE))],
        vec![
            Conv(("branch3x3dbl_1", 64, POINT)),
            Conv(("branch3x3dbl_2", 96, THREE)),
            Conv(("branch3x3dbl_3", 96, HALVE)),
        ],
        vec![MAX_HALVE],
    ];
    let (wide, tall) = (Kernel::same(1, 7), Kernel::same(7, 1));
    let c = |inner| {
        vec![
            vec![Conv(("branch1x1", 192, POINT))],
            vec![
                Conv(("branch7x7_1", inner, POINT)),
                Conv(("branch7x7_2", inner, wide)),
                Conv(("branch7x7_3", 192, tall)),
            ],
            vec![
                Conv(("branch7x7dbl_1", inner, POINT)),
                Conv(("branch7x7dbl_2", inner, tall)),
                Conv(("branch7x7dbl_3", inner, wide)),
                Conv(("branch7x7dbl_4", inner, tall)),
                Conv(("branch7x7dbl_5", 192, wide)),
            ],
            vec![Average(("branch_pool", 192, POINT))],
        ]
    };
    let d = vec![
        vec![Conv(("branch3x3_1", 192, POINT)), Conv(("branch3x3_2", 320, HALVE))],
        vec![
            Conv(("branch7x7x3_1", 192, POINT)),
            Conv(("branch7x7x3_2", 192, wide)),
            Conv(("branch7x7x3_3", 192, tall)),
            Conv(("branch7x7x3_4", 192, HALVE)),
        ],
        vec![MAX_HALVE],
    ];
    let e = |pool| {
        let (wide, tall) = (Kernel::same(1, 3), Kernel::same(3, 1));
        vec![
            vec![Conv(("branch1x1", 320, POINT))],
            vec![Conv(("branch3x3_1", 384, POINT)), Fork(("branch3x3_2a", 384, wide), ("branch3x3_2b", 384, tall))],
            vec![
                Conv(("branch3x3dbl_1", 448, POINT)),
                Conv(("branch3x3dbl_2", 384, THREE)),
                Fork(("branch3x3dbl_3a", 384, wide), ("branch3x3dbl_3b", 384, tall)),
            ],
            pool,
        ]
    };
    let last = ("branch_pool", 192, POINT);
    vec![
        ("", vec![stem]),
        ("Mixed_5b.", a(32)),
        ("Mixed_5c.", a(64)),
        ("Mixed_5d.", a(64)),
        ("Mixed_6a.", b),
        ("Mixed_6b.", c(128)),
        ("Mixed_6c.", c(160)),
        ("Mixed_6d.", c(160)),
        ("Mixed_6e.", c(192)),
        ("Mixed_7a.", d),
        ("Mixed_7b.", e(vec![Average(last)])),
        ("Mixed_7c.", e(vec![Part::Max(Sliding { k: 3, stride: 1, padding: 1 }), Conv(last)])),
    ]
}

/// A convolution with its folded batch norm.
struct Convolution {
    kernel: Kernel,
    weight: Tensor,
    bias: Tensor,
}

impl Convolution {
    /// Without the ReLU.
    fn linear(&self, x: &Tensor) -> mtl_tensor::Result<Tensor> {
        let (x, padding) = self.padded(x)?;
        ops::conv2d(&x, &self.weight, Some(&self.bias), self.kernel.stride, padding)
    }

    fn forward(&self, x: &Tensor) -> mtl_tensor::Result<Tensor> {
        let (x, padding) = self.padded(x)?;
        ops::conv2d_relu(&x, &self.weight, Some(&self.bias), self.kernel.stride, padding)
    }

    /// The convolution pads both axes alike; others are padded here.
    fn padded(&self, x: &Tensor) -> mtl_tensor::Result<(Tensor, usize)> {
        let (down, across) = self.kernel.padding;
        if down == across {
            return Ok((x.clone(), down));
        }
        Ok((x.pad_with_zeros(2, down, down)?.pad_with_zeros(3, across, across)?, 0))
    }
}

impl Part<Convolution> {
    fn forward(&self, x: &Tensor) -> mtl_tensor::Result<Tensor> {
        match self {
            Self::Conv(layer) => layer.forward(x),
            Self::Fork(one, other) => ops::cat_channels(&[&one.forward(x)?, &other.forward(x)?]),
            // A mean of sums is the sum of means: fewer channels are averaged this way round.
            Self::Average(layer) => {
                let windows = Sliding { k: 3, stride: 1, padding: 1 };
                ops::relu(&ops::sliding_avg_pool2d(&layer.linear(x)?, windows)?)
            }
            Self::Max(windows) => ops::sliding_max_pool2d(x, *windows),
        }
    }
}

/// The network.
pub(super) struct Network(Vec<Block<Convolution>>);

impl Network {
    /// Takes every tensor out of the file. The message says what is wrong with it.
    pub fn new(mut weights: Weights, device: &Device) -> Result<Self, String> {
        let mut blocks = Vec::new();
        let mut channels = 3;
        for (prefix, branches) in table() {
            let mut width = 0;
            let mut block = Vec::new();
            for parts in branches {
                let mut from = channels;
                let mut take = |(name, to, kernel): Layer, from: usize| -> Result<Convolution, String> {
                    let (height, width) = kernel.size;
                    let (weight, bias) =
                        weights.folded(&format!("{prefix}{name}"), [to, from, height, width], device)?;
                    Ok(Convolution { kernel, weight, bias })
                };
                let mut branch = Vec::new();
                for part in parts {
                    let (part, to) = match part {
                        Part::Conv(layer) => (Part::Conv(take(layer, from)?), layer.1),
                        Part::Fork(one, other) => (Part::Fork(take(one, from)?, take(other, from)?), one.1 + other.1),
                        Part::Average(layer) => (Part::Average(take(layer, from)?), layer.1),
                        Part::Max(windows) => (Part::Max(windows), from),
                    };
                    from = to;
                    branch.push(part);
                }
                width += from;
                block.push(branch);
            }
            channels = width;
            blocks.push(block);
        }
        weights.finish()?;
        Ok(Self(blocks))
    }

    /// Images `[B, 3, 299, 299]` in `[-1, 1)` to features `[B, 2048]`.
    pub fn forward(&self, images: &Tensor) -> mtl_tensor::Result<Tensor> {
        let mut x = images.clone();
        for block in &self.0 {
            let branch = |parts: &Vec<Part<Convolution>>| parts.iter().try_fold(x.clone(), |x, part| part.forward(&x));
            let branches = block.iter().map(branch).collect::<mtl_tensor::Result<Vec<_>>>()?;
            x = ops::cat_channels(&branches.iter().collect::<Vec<_>>())?;
        }
        ops::global_avg_pool(&x)
    }
}
