//! Tests of [`super`].

use super::*;
use crate::image::resize;

const NO: u8 = Target::NO_PIXEL;

fn size(height: usize, width: usize) -> Size {
    Size { height, width }
}

fn mirrored<T: Copy>(pixels: &[T], size: Size, vertical: bool) -> Vec<T> {
    let rows: Vec<&[T]> = pixels.chunks_exact(size.width).collect();
    if vertical {
        return rows.into_iter().rev().flatten().copied().collect();
    }
    rows.into_iter().flat_map(|row| row.iter().rev().copied()).collect()
}

/// `true` inside a disc, by the pixel's centre.
fn disc(size: Size, centre: [f64; 2], radius: f64) -> Vec<bool> {
    let inside = |at: usize| {
        let (x, y) = ((at % size.width) as f64 + 0.5, (at / size.width) as f64 + 0.5);
        (x - centre[0]).powi(2) + (y - centre[1]).powi(2) < radius * radius
    };
    (0..size.height * size.width).map(inside).collect()
}

/// Centre of mass, x and y in pixels, pixel centres at one half.
fn centroid(weights: &[f64], size: Size) -> [f64; 2] {
    let sum: f64 = weights.iter().sum();
    let moment = |position: &dyn Fn(usize) -> usize| {
        weights.iter().enumerate().map(|(at, weight)| weight * (position(at) as f64 + 0.5)).sum::<f64>() / sum
    };
    [moment(&|at| at % size.width), moment(&|at| at / size.width)]
}

#[test]
fn halves_by_hand() {
    // Three of four, one of four, two of four in each direction, all unlabelled but one.
    let mask = [
        [1, 1, 0, 0, 2, 3, NO, NO], //
        [0, 1, 0, 1, 2, 3, NO, 1],
    ];
    // The pair of 2 and 3: widened by one pixel it is 0 1, 2 2, 3 3, NO NO: still equal, so the lower class.
    assert_eq!(majority(mask.as_flattened(), size(2, 8), size(1, 4)), [1, 0, 2, NO]);
    // Half unlabelled is labelled.
    assert_eq!(majority(&[NO, NO, 4, 4], size(2, 2), size(1, 1)), [4]);
    // More than half unlabelled: three of four, then 5 of 9.
    assert_eq!(majority(&[NO, NO, NO, 4], size(2, 2), size(1, 1)), [NO]);
    assert_eq!(majority(&[NO, 1, NO, 1, NO, 1, NO, 1, NO], size(3, 3), size(1, 1)), [NO]);
    // Unlabelled pixels have no vote: 4 of 9 unlabelled, 3 of class 2, 2 of class 1.
    assert_eq!(majority(&[NO, NO, NO, NO, 2, 2, 2, 1, 1], size(3, 3), size(1, 1)), [2]);
}

#[test]
fn ties_go_to_the_wider_surroundings() {
    // One of each class everywhere: columns 0 to 2 hold two of class 7, columns 1 to 4 three, columns 3 to 5 one.
    assert_eq!(majority(&[0, 7, 7, 0, 7, 0], size(1, 6), size(1, 3)), [7, 7, 0]);
    assert_eq!(majority(&[0, 0, 7, 0, 0, 7], size(1, 6), size(1, 3)), [0, 0, 0]);
}

#[test]
fn shares_of_pixels_by_hand() {
    // 5 to 2: the first covers columns 0, 1 and half of 2: class 1 has 1.5 of 2.5.
    assert_eq!(majority(&[0, 1, 1, 0, 0], size(1, 5), size(1, 2)), [1, 0]);
    // 3 to 2, both ways: areas 1, 1/2, 1/2, 1/4 of the upper left target pixel.
    let mask = [3, 1, 1, 1, 1, 1, 1, 1, 1];
    assert_eq!(majority(&mask, size(3, 3), size(2, 2)), [1; 4]);
    let mask = [3, 3, 1, 1, 1, 1, 1, 1, 1];
    assert_eq!(majority(&mask, size(3, 3), size(2, 2)), [3, 1, 1, 1]);
}

#[test]
fn enlarging_takes_the_nearest_centre() {
    let pixels = [0, 1, 2, 3, 4, 5, 6, 7];
    let doubled = majority(&pixels, size(2, 4), size(4, 8));
    assert_eq!(doubled[..8], [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(doubled[16..24], [4, 4, 5, 5, 6, 6, 7, 7]);
    // 3 to 4: centres at 0.375, 1.125, 1.875, 2.625.
    assert_eq!(majority(&[5, 6, 7], size(1, 3), size(1, 4)), [5, 6, 6, 7]);
    // 2 to 3: the middle centre lies on the border, with as much of both sides: the lower class, from either side.
    assert_eq!(majority(&[8, 2], size(1, 2), size(1, 3)), [8, 2, 2]);
    assert_eq!(majority(&[2, 8], size(1, 2), size(1, 3)), [2, 2, 8]);
    // One axis grows, the other shrinks.
    assert_eq!(majority(&[1, 2, 2, 9, 9, 4], size(1, 6), size(2, 2)), [2, 9, 2, 9]);
}

#[test]
fn means_by_hand() {
    let near = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!(a.is_nan() && b.is_nan() || (a - b).abs() < 1e-6, "{found:?}, expected {expected:?}");
        }
    };
    const GAP: f32 = f32::NAN;
    near(&mean(&[1.0, 2.0, 4.0, 8.0], size(2, 2), size(1, 1)), &[3.75]);
    // Means are of known values; half a pixel known is enough, less is not.
    near(&mean(&[1.0, GAP, GAP, 3.0], size(2, 2), size(1, 1)), &[2.0]);
    near(&mean(&[1.0, GAP, GAP, GAP], size(2, 2), size(1, 1)), &[GAP]);
    // 3 to 2: (1 + 0.5 * 4) / 1.5 and (0.5 * 4 + 7) / 1.5.
    near(&mean(&[1.0, 4.0, 7.0], size(1, 3), size(1, 2)), &[2.0, 6.0]);
    // Of the left target pixel a sixth is known, of the right one half: (0.5 * 4 + 7) / 1.5.
    near(&mean(&[GAP, 4.0, 7.0, GAP, GAP, GAP], size(2, 3), size(1, 2)), &[GAP, 6.0]);
    near(&mean(&[1.0, 5.0], size(1, 2), size(1, 3)), &[1.0, 3.0, 5.0]);
    let flat = mean(&[0.3; 35], size(5, 7), size(3, 2));
    assert_eq!(flat, [0.3; 6]);
}

#[test]
fn mirrors_of_resized_are_resized_mirrors() {
    let mut stream = mtl_rng::Seed::new(3).stream("masks", &[]);
    for case in 0..200 {
        let [h, w, to_h, to_w] = std::array::from_fn(|_| 1 + stream.below(20));
        let (from, to) = (size(h, w), size(to_h, to_w));
        let mask: Vec<u8> = (0..h * w).map(|_| [0, 0, 1, 2, NO][stream.below(5)]).collect();
        let dense: Vec<f32> =
            (0..h * w).map(|_| if stream.chance(0.2) { f32::NAN } else { stream.uniform() as f32 }).collect();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        for vertical in [false, true] {
            let expected = mirrored(&majority(&mask, from, to), to, vertical);
            assert_eq!(majority(&mirrored(&mask, from, vertical), from, to), expected, "case {case}");
            let expected = bits(mirrored(&mean(&dense, from, to), to, vertical));
            assert_eq!(bits(mean(&mirrored(&dense, from, vertical), from, to)), expected, "case {case}");
        }
    }
}

#[test]
fn masks_maps_and_images_stay_on_one_grid() {
    let to = size(64, 64);
    for ratio in [1.5, 2.0, 2.5, 3.0, 4.0, 8.0, 1.25, 0.75, 0.5] {
        let side = (64.0 * ratio) as usize;
        let from = size(side, side);
        let mut stream = mtl_rng::Seed::new(1).stream("discs", &[side as u64]);
        let (discs, mut shifts) = (100, [[0.0; 2]; 2]);
        for _ in 0..discs {
            // Radius and centre in target pixels; the disc is inside.
            let radius = stream.range(8.0, 16.0);
            let centre = [(); 2].map(|()| stream.range(20.0, 44.0));
            let drawn = disc(from, centre.map(|c| c * ratio), radius * ratio);
            let bytes: Vec<u8> = drawn.iter().map(|&inside| if inside { 255 } else { 0 }).collect();
            let image: Vec<f64> = resize::stretch_planes(&bytes, 1, from, to).into_iter().map(f64::from).collect();
            let mask: Vec<u8> = drawn.iter().map(|&inside| u8::from(inside)).collect();
            let mask: Vec<f64> = majority(&mask, from, to).into_iter().map(f64::from).collect();
            let map: Vec<f32> = drawn.iter().map(|&inside| if inside { 1.0 } else { 0.0 }).collect();
            let map: Vec<f64> = mean(&map, from, to).into_iter().map(f64::from).collect();
            let image = centroid(&image, to);
            for (shift, labels) in shifts.iter_mut().zip([centroid(&mask, to), centroid(&map, to)]) {
                for axis in 0..2 {
                    // The border of one disc is rounded to whole pixels; a shift of the grid is common to all.
                    assert!((labels[axis] - image[axis]).abs() < 0.4, "ratio {ratio}: {labels:?}, image {image:?}");
                    shift[axis] += (labels[axis] - image[axis]) / f64::from(discs);
                }
            }
        }
        assert!(shifts.as_flattened().iter().all(|shift| shift.abs() < 0.02), "ratio {ratio}: {shifts:?}");
    }
}
