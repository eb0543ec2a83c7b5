//! The shapes of one convolution, and its division into pieces of work.

/// Shapes, stride and padding of a convolution. A transposed convolution has the geometry of the convolution whose gradient it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ops) struct Geometry {
    pub batch: usize,
    pub in_channels: usize,
    pub in_height: usize,
    pub in_width: usize,
    pub out_channels: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub kernel_height: usize,
    pub kernel_width: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    /// Products summed for one output number.
    pub(in crate::ops) fn depth(&self) -> usize {
        self.in_channels * self.taps()
    }
    pub(super) fn taps(&self) -> usize {
        self.kernel_height * self.kernel_width
    }
    pub(super) fn in_pixels(&self) -> usize {
        self.in_height * self.in_width
    }
    pub(super) fn in_image(&self) -> usize {
        self.in_channels * self.in_pixels()
    }
    pub(in crate::ops) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }
    pub(super) fn out_image(&self) -> usize {
        self.out_channels * self.out_pixels()
    }
    /// A 1x1 kernel that touches every pixel once: the image itself is the matrix.
    pub(super) fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride == 1 && self.padding == 0
    }
    /// The gradient of a stride-1 convolution with a square kernel as a convolution: from dY to dX, kernel turned.
    pub(super) fn turned(&self) -> Option<Self> {
        let possible = self.stride == 1 && self.kernel_height == self.kernel_width && self.padding < self.kernel_height;
        possible.then(|| Self {
            in_channels: self.out_channels,
            in_height: self.out_height,
            in_width: self.out_width,
            out_channels: self.in_channels,
            out_height: self.in_height,
            out_width: self.in_width,
            padding: self.kernel_height - 1 - self.padding,
            ..*self
        })
    }
    /// `w [Co, Ci, kh, kw]` as the kernel of [`Geometry::turned`]: `[Ci, Co, kh, kw]`, turned by 180 degrees.
    pub(super) fn turn<T: Copy + Default>(&self, w: &[T]) -> Vec<T> {
        let taps = self.taps();
        let mut turned = vec![T::default(); w.len()];
        for co in 0..self.out_channels {
            for ci in 0..self.in_channels {
                let from = &w[(co * self.in_channels + ci) * taps..][..taps];
                let to = &mut turned[(ci * self.out_channels + co) * taps..][..taps];
                to.iter_mut().zip(from.iter().rev()).for_each(|(to, from)| *to = *from);
            }
        }
        turned
    }
}

/// Some rows of one image, or all rows of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    /// The first image.
    pub image: usize,
    pub images: usize,
    pub first: usize,
    pub rows: usize,
}

/// Every image's `height` rows in strips of about `rows`, in order. Strips depend on the shapes alone, never on the number
/// of threads, so the order of every sum, and with it every byte of the result, does not either.
pub(super) fn strips(images: usize, height: usize, rows: usize) -> Vec<Strip> {
    if height == 0 {
        return Vec::new();
    }
    if rows >= 2 * height {
        // A quarter of the batch at most, so that there is work for several threads.
        let together = (rows / height).min(images.div_ceil(4)).max(1);
        let group = |image| Strip { image, images: together.min(images - image), first: 0, rows: height };
        return (0..images).step_by(together).map(group).collect();
    }
    let rows = rows.clamp(1, height);
    let of_image = move |image| {
        let strip = move |first| Strip { image, images: 1, first, rows: rows.min(height - first) };
        (0..height).step_by(rows).map(strip)
    };
    (0..images).flat_map(of_image).collect()
}
