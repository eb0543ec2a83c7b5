//! Image sizes and their limits.

use serde::{Deserialize, Serialize};

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// Height times width.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }
}

/// Longest side of an image, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Largest file and largest decoded image, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;
