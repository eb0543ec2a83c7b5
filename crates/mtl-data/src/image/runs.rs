//! Run-length encoded masks, as COCO stores them.

use crate::size::Size;

/// A binary mask in runs down the columns: so many pixels outside, so many inside, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Size of the mask.
    pub size: Size,
    /// Lengths of the runs; the first is outside and may be 0.
    pub counts: Vec<u32>,
}

impl Runs {
    /// Sets the pixels inside to `class`. Runs beyond the mask's size are ignored.
    pub fn fill(&self, mask: &mut [u8], class: u8) {
        let Size { height, width } = self.size;
        let mut at = 0_usize;
        for (run, &count) in self.counts.iter().enumerate() {
            let end = at.saturating_add(count as usize).min(height * width);
            if run % 2 == 1 {
                for pixel in at..end {
                    mask[pixel % height * width + pixel / height] = class;
                }
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_down_the_columns() {
        let runs = Runs { size: Size { height: 2, width: 3 }, counts: vec![1, 2, 2, 900] };
        let mut mask = vec![0; 6];
        runs.fill(&mut mask, 4);
        assert_eq!(mask, [0, 4, 0, 4, 0, 4]);
    }
}
