//! Masks and dense maps at another size: each target pixel takes the class, or the mean, of the area it covers.
//!
//! Target pixel `i` of `to` covers the source pixels from `i r` to `(i + 1) r`, `r = from / to`; the image's own resize
//! averages about the same centre, so labels and images stay on one grid at every ratio. Along an axis that grows, a
//! target pixel takes the source pixel that holds its centre (nearest neighbour), or both neighbours of a border that
//! the centre lies on.
//!
//! All rules are symmetric: a mirrored mask resized is the resized mask mirrored, bit for bit, and so for dense maps.
//!
//! Cost: 256 x 256 to 64 x 64 takes about 35 us for a mask with a few objects, most of it a pass for the lowest and the
//! highest class of each target pixel; areas are counted only where the two differ.

use mtl_task::Target;

use crate::size::Size;

/// The class that covers most of each target pixel, row-major.
///
/// A target pixel is unlabelled ([`Target::NO_PIXEL`]) if more than half of it is unlabelled; otherwise the unlabelled
/// part has no vote. Of classes with equal areas the one with more area in the window widened by one source pixel on each
/// side wins, then the lower class.
pub fn majority(classes: &[u8], from: Size, to: Size) -> Vec<u8> {
    if from == to {
        return classes.to_vec();
    }
    let columns: Vec<Window> = windows(from.width, to.width).collect();
    let weights: Vec<Vec<(usize, usize)>> = columns.iter().map(|column| column.weights(to.width).collect()).collect();
    let spans: Vec<std::ops::Range<usize>> = columns.iter().map(|column| column.pixels(to.width)).collect();
    let mut counter = Counter { classes, from, to, areas: [0; 256] };
    let mut out = Vec::with_capacity(to.height * to.width);
    let mut lowest = vec![0; from.width];
    let mut highest = vec![0; from.width];
    for row in windows(from.height, to.height) {
        let heights: Vec<(usize, usize)> = row.weights(to.height).collect();
        let pixels = row.pixels(to.height);
        let mut band = classes[pixels.start * from.width..pixels.end * from.width].chunks_exact(from.width);
        let first = band.next().unwrap_or_default();
        lowest.copy_from_slice(first);
        highest.copy_from_slice(first);
        for line in band {
            for ((low, high), &class) in lowest.iter_mut().zip(&mut highest).zip(line) {
                *low = class.min(*low);
                *high = class.max(*high);
            }
        }
        let (low, high) = (least(&lowest), most(&highest));
        if low == high {
            out.extend(std::iter::repeat_n(low, to.width));
            continue;
        }
        for ((column, widths), span) in columns.iter().zip(&weights).zip(&spans) {
            let (low, high) = (least(&lowest[span.clone()]), most(&highest[span.clone()]));
            let class = if low == high {
                Some(low)
            } else {
                counter.count(&heights, widths, low, high);
                counter.winner(low, high)
            };
            out.push(class.unwrap_or_else(|| counter.among_tied(row, *column, low, high)));
        }
    }
    out
}

fn least(classes: &[u8]) -> u8 {
    classes.iter().fold(u8::MAX, |low, &class| low.min(class))
}

fn most(classes: &[u8]) -> u8 {
    classes.iter().fold(0, |high, &class| high.max(class))
}

/// The mean of the values that each target pixel covers, row-major. NaN is a missing value: it counts for nothing, and a
/// target pixel of which more than half is missing is missing.
pub fn mean(values: &[f32], from: Size, to: Size) -> Vec<f32> {
    if from == to {
        return values.to_vec();
    }
    let columns: Vec<Vec<(usize, f64)>> =
        windows(from.width, to.width).map(|window| folded(window, to.width)).collect();
    let mut out = Vec::with_capacity(to.height * to.width);
    // Sum and known area, column by column.
    let mut band = vec![(0.0, 0.0); from.width];
    for row in windows(from.height, to.height) {
        band.fill((0.0, 0.0));
        for pair in folded(row, to.height).chunks_exact(2) {
            let [upper, lower] = [pair[0], pair[1]].map(|(y, _)| &values[y * from.width..(y + 1) * from.width]);
            for ((sum, &a), &b) in band.iter_mut().zip(upper).zip(lower) {
                let (a, b) = (weighted(a, pair[0].1), weighted(b, pair[1].1));
                *sum = (sum.0 + (a.0 + b.0), sum.1 + (a.1 + b.1));
            }
        }
        for column in &columns {
            let (mut sum, mut known, mut all) = (0.0, 0.0, 0.0);
            for pair in column.chunks_exact(2) {
                let [a, b] = [pair[0], pair[1]].map(|(x, weight)| (band[x].0 * weight, band[x].1 * weight));
                sum += a.0 + b.0;
                known += a.1 + b.1;
                all += pair[0].1 + pair[1].1;
            }
            all *= (row.high - row.low) as f64;
            out.push(if 2.0 * known >= all { (sum / known) as f32 } else { f32::NAN });
        }
    }
    out
}

/// A value and its area, times `weight`; a missing value has neither.
fn weighted(value: f32, weight: f64) -> (f64, f64) {
    if value.is_nan() { (0.0, 0.0) } else { (f64::from(value) * weight, weight) }
}

/// Source pixels and weights of a window from the outside in: first, last, second, last but one ... A sum over pairs is
/// then the same for a mirrored window, rounding included. The pixel in the middle of an odd number is paired with
/// weight 0.
fn folded(window: Window, to: usize) -> Vec<(usize, f64)> {
    let pixels: Vec<(usize, f64)> = window.weights(to).map(|(pixel, weight)| (pixel, weight as f64)).collect();
    let count = pixels.len();
    let pair = |at: usize| {
        let (first, last) = (pixels[at], pixels[count - 1 - at]);
        [first, if 2 * at + 1 == count { (last.0, 0.0) } else { last }]
    };
    (0..count.div_ceil(2)).flat_map(pair).collect()
}

/// An interval of source pixels along one axis, in units of `1 / to` of a source pixel: all borders are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    low: usize,
    high: usize,
}

impl Window {
    /// Source pixels that it touches.
    fn pixels(self, to: usize) -> std::ops::Range<usize> {
        self.low / to..self.high.div_ceil(to)
    }

    /// Source pixels that it touches, each with the length that lies inside.
    fn weights(self, to: usize) -> impl Iterator<Item = (usize, usize)> {
        self.pixels(to).map(move |pixel| (pixel, self.high.min((pixel + 1) * to) - self.low.max(pixel * to)))
    }

    /// One source pixel more on each side, if it exists.
    fn widened(self, from: usize, to: usize) -> Self {
        Self { low: self.low.saturating_sub(to), high: (self.high + to).min(from * to) }
    }
}

/// The source pixels of each target pixel along one axis.
fn windows(from: usize, to: usize) -> impl Iterator<Item = Window> {
    (0..to).map(move |i| {
        if to <= from {
            return Window { low: i * from, high: (i + 1) * from };
        }
        // The centre is at `centre / (2 to)`; on a border both neighbours are as near.
        let centre = (2 * i + 1) * from;
        let pixel = centre / (2 * to);
        let first = if centre.is_multiple_of(2 * to) { pixel - 1 } else { pixel };
        Window { low: first * to, high: (pixel + 1) * to }
    })
}

/// Areas of classes in one window of a mask.
struct Counter<'a> {
    classes: &'a [u8],
    from: Size,
    to: Size,
    areas: [u64; 256],
}

impl Counter<'_> {
    /// Counts the pixels `heights` x `widths`, each `(pixel, weight)`. All their classes lie in `low..=high`, or are of no
    /// interest.
    fn count(&mut self, heights: &[(usize, usize)], widths: &[(usize, usize)], low: u8, high: u8) {
        self.areas[usize::from(low)..=usize::from(high)].fill(0);
        for &(y, height) in heights {
            let line = &self.classes[y * self.from.width..][..self.from.width];
            for &(x, width) in widths {
                self.areas[usize::from(line[x])] += (height * width) as u64;
            }
        }
    }

    /// The class with the largest area; `None` for a tie.
    fn winner(&self, low: u8, high: u8) -> Option<u8> {
        let unlabelled = if high == Target::NO_PIXEL { self.areas[usize::from(high)] } else { 0 };
        let (mut labelled, mut most, mut winner) = (0, 0, None);
        for class in low..=high.min(Target::NO_PIXEL - 1) {
            let area = self.areas[usize::from(class)];
            labelled += area;
            if area > most {
                (most, winner) = (area, Some(class));
            } else if area == most {
                winner = None;
            }
        }
        if unlabelled > labelled { Some(Target::NO_PIXEL) } else { winner }
    }

    /// Of the classes with the largest area the one with most in the wider window.
    fn among_tied(&mut self, row: Window, column: Window, low: u8, high: u8) -> u8 {
        let labels = usize::from(low)..=usize::from(high.min(Target::NO_PIXEL - 1));
        let most = self.areas[labels.clone()].iter().copied().max().unwrap_or(0);
        let tied: Vec<usize> = labels.filter(|&class| self.areas[class] == most).collect();
        let heights: Vec<_> = row.widened(self.from.height, self.to.height).weights(self.to.height).collect();
        let widths: Vec<_> = column.widened(self.from.width, self.to.width).weights(self.to.width).collect();
        self.count(&heights, &widths, low, high);
        let winner = tied.into_iter().rev().max_by_key(|&class| self.areas[class]);
        winner.unwrap_or(usize::from(low)) as u8
    }
}

#[cfg(test)]
mod tests;
