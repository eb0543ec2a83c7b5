//! One batch on the device.

use std::ops::Range;

use mtl_task::Target;
use mtl_tensor::Tensor;

use crate::error::Result;

/// One batch: images on the device, labels on the host.
#[derive(Clone, Debug)]
pub struct DeviceBatch {
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: Tensor,
    /// Labels of each task, in the order of [`crate::Schema::tasks`].
    pub targets: Vec<Target>,
    /// `[B]` class indices of the task that conditions the generators, -1 where missing; all -1 without such a task.
    pub classes: Vec<i32>,
    /// Number of parts the loader's batch was divided into; limits per batch (images to reconstruct) are divided by it.
    pub parts: usize,
}

impl DeviceBatch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether the batch has no images.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The images `range` as one of `parts` parts of the batch.
    ///
    /// # Errors
    /// A range outside the batch.
    pub(crate) fn part(&self, range: Range<usize>, parts: usize) -> Result<Self> {
        let batch = self.len();
        Ok(Self {
            images: self.images.narrow(0, range.start, range.len())?.contiguous()?,
            targets: self.targets.iter().map(|target| target.slice(range.clone(), batch)).collect(),
            classes: self.classes[range].to_vec(),
            parts: self.parts * parts,
        })
    }
}
