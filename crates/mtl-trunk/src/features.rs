//! Multi-scale features, and which task reads which.

use mtl_tensor::{Result, Tensor};

/// Resolution and width of one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapSpec {
    /// Image pixels per feature pixel, along each side.
    pub stride: usize,
    /// Feature channels.
    pub channels: usize,
}

/// Features at several strides, finest first: `taps[i]` is `[B, channels, H / stride, W / stride]`.
#[derive(Clone, Debug)]
pub struct Features {
    /// One tensor per tap, in the order of [`Trunk::taps`](crate::Trunk::taps).
    pub taps: Vec<Tensor>,
}

impl Features {
    /// The coarsest tap, which has the largest receptive field.
    ///
    /// # Errors
    /// A trunk without taps.
    pub fn deepest(&self) -> Result<&Tensor> {
        self.taps.last().ok_or_else(|| mtl_tensor::Error::Msg("the trunk has no taps".into()))
    }

    /// The same values without their graph: no gradient flows through them.
    pub fn detach(&self) -> Self {
        Self { taps: self.taps.iter().map(Tensor::detach).collect() }
    }
}

/// The features of each task. Tasks may share an entry.
#[derive(Clone, Debug)]
pub struct TaskFeatures {
    /// The distinct features.
    pub entries: Vec<Features>,
    /// Index into `entries` for each task, in task order.
    pub of_task: Vec<usize>,
}

impl TaskFeatures {
    /// The same features for each of `tasks` tasks.
    pub fn shared(features: Features, tasks: usize) -> Self {
        Self { entries: vec![features], of_task: vec![0; tasks] }
    }

    /// The features of one task.
    ///
    /// # Panics
    /// If there is no such task: a programmer's error.
    pub fn of(&self, task: usize) -> &Features {
        &self.entries[self.of_task[task]]
    }
}

/// Checks that images can be halved down to the largest stride without losing rows or columns.
pub(crate) fn check_size(images: &Tensor, taps: &[TapSpec]) -> Result<()> {
    let (_, _, height, width) = images.dims4()?;
    let stride = taps.last().map_or(1, |tap| tap.stride);
    if !height.is_multiple_of(stride) || !width.is_multiple_of(stride) {
        return Err(mtl_tensor::Error::Msg(format!(
            "images of {height}x{width} pixels: this trunk needs height and width divisible by {stride}; resize or pad them"
        )));
    }
    Ok(())
}
