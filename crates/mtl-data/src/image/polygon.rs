//! Polygons as masks.

use crate::size::Size;

/// A closed outline: points `[x, y]` as shares of width and height, 0 to 1.
pub type Outline = Vec<[f64; 2]>;

/// Fills an outline into a mask of `size` with `class`. A pixel belongs to the outline if its centre does (even-odd rule); later
/// outlines cover earlier ones.
pub fn fill(mask: &mut [u8], size: Size, outline: &[[f64; 2]], class: u8) {
    let points: Vec<[f64; 2]> = outline.iter().map(|[x, y]| [x * size.width as f64, y * size.height as f64]).collect();
    let edges = || points.iter().zip(points.iter().cycle().skip(1));
    for (row, pixels) in mask.chunks_exact_mut(size.width.max(1)).enumerate() {
        let y = row as f64 + 0.5;
        let crossing = |(a, b): (&[f64; 2], &[f64; 2])| {
            ((a[1] <= y) != (b[1] <= y)).then(|| a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]))
        };
        let mut crossings: Vec<f64> = edges().filter_map(crossing).collect();
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // Pixels whose centre is at or right of the first crossing and left of the second.
            let column = |x: f64| ((x - 0.5).ceil().max(0.0) as usize).min(size.width);
            pixels[column(pair[0])..column(pair[1])].fill(class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { height: 4, width: 6 };

    fn filled(outline: &[[f64; 2]]) -> Vec<u8> {
        let mut mask = vec![0; 24];
        fill(&mut mask, SIZE, outline, 3);
        mask
    }

    #[test]
    fn rectangles_and_triangles_by_hand() {
        let third = 1.0 / 3.0;
        let rectangle = filled(&[[third, 0.25], [2.0 * third, 0.25], [2.0 * third, 0.75], [third, 0.75]]);
        let row = [0, 0, 3, 3, 0, 0];
        assert_eq!(rectangle, [[0; 6], row, row, [0; 6]].concat());
        // Below the diagonal from the upper left to the lower right corner: x / 6 < y / 4 at centres.
        let triangle = filled(&[[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        let count: Vec<usize> = triangle.chunks(6).map(|row| row.iter().filter(|&&class| class == 3).count()).collect();
        assert_eq!(count, [1, 2, 4, 5]);
    }

    #[test]
    fn outlines_outside_and_degenerate_ones_fill_nothing_wrong() {
        assert_eq!(filled(&[[0.2, 0.2], [0.8, 0.8]]), [0; 24]);
        assert_eq!(filled(&[]), [0; 24]);
        assert_eq!(filled(&[[-5.0, -5.0], [5.0, -5.0], [5.0, 5.0], [-5.0, 5.0]]), [3; 24]);
        // The hole of a star drawn in one line is outside.
        let star: Vec<[f64; 2]> = (0..5)
            .map(|at| f64::from(at) * 4.0 * std::f64::consts::PI / 5.0)
            .map(|angle| [0.5 + 0.5 * angle.sin(), 0.5 - 0.5 * angle.cos()])
            .collect();
        let mut mask = vec![0; 101 * 101];
        fill(&mut mask, Size { height: 101, width: 101 }, &star, 1);
        assert_eq!((mask[50 * 101 + 50], mask[12 * 101 + 50]), (0, 1));
    }
}
