//! Tests of [`super`].

use super::*;
use mtl_rng::Seed;

const SIZE: Size = Size { height: 24, width: 32 };

/// A bright disc whose mask is 2 and whose depth is 0.25, on dark ground with mask 7 and missing depth.
fn blob() -> Sample {
    let (mut image, mut mask, mut depth) = (Vec::new(), Vec::new(), Vec::new());
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let inside = (x as f64 - 12.0).powi(2) + (y as f64 - 9.0).powi(2) < 25.0;
            image.push(if inside { 200 } else { 20 });
            mask.push(if inside { 2 } else { 7 });
            depth.push(if inside { 0.25 } else { f32::NAN });
        }
    }
    let image = [image.clone(), image.clone(), image].concat();
    Sample { image, targets: vec![Target::Class(vec![4]), Target::Mask(mask), Target::Dense(depth)] }
}

fn mask(sample: &Sample) -> &[u8] {
    match &sample.targets[1] {
        Target::Mask(mask) => mask,
        other => panic!("{other:?}"),
    }
}

fn depth(sample: &Sample) -> &[f32] {
    match &sample.targets[2] {
        Target::Dense(depth) => depth,
        other => panic!("{other:?}"),
    }
}

fn view(config: &Config, row: u64) -> Sample {
    let mut sample = blob();
    apply(config, &mut sample, SIZE, 3, &mut Seed::new(5).stream("augment", &[row]));
    sample
}

/// Centre of mass of `weight(pixel)`.
fn centroid(weight: impl Fn(usize) -> f64) -> [f64; 2] {
    let (mut sum, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for at in 0..SIZE.height * SIZE.width {
        sum += weight(at);
        x_sum += weight(at) * (at % SIZE.width) as f64;
        y_sum += weight(at) * (at / SIZE.width) as f64;
    }
    [x_sum / sum, y_sum / sum]
}

#[test]
fn nothing_changes_nothing() {
    let (a, b) = (view(&Config::none(), 0), blob());
    assert_eq!(a.image, b.image);
    assert_eq!(mask(&a), mask(&b));
    assert_eq!(depth(&a).map_bits(), depth(&b).map_bits());
}

trait MapBits {
    fn map_bits(&self) -> Vec<u32>;
}
impl MapBits for [f32] {
    fn map_bits(&self) -> Vec<u32> {
        self.iter().map(|value| value.to_bits()).collect()
    }
}

#[test]
fn the_affine_path_agrees_with_the_exact_one() {
    // The same mirrors by copying and by sampling at whole positions.
    for flips in [[false, false], [true, false], [false, true], [true, true]] {
        let exact = Warp { size: SIZE, flips, affine: None };
        let tiny = Warp::new(flips, [1e-9, 0.0], 1.0, 0.0, SIZE);
        assert!(tiny.affine.is_some());
        let sample = blob();
        assert_eq!(exact.image(sample.image.clone(), 3), tiny.image(sample.image.clone(), 3));
        assert_eq!(exact.labels(mask(&sample).to_vec()), tiny.labels(mask(&sample).to_vec()));
    }
}

#[test]
fn mirrors_by_hand_and_twice() {
    let size = Size { height: 2, width: 3 };
    let start = Sample { image: vec![1, 2, 3, 4, 5, 6], targets: vec![Target::Mask(vec![1, 2, 3, 4, 5, 6])] };
    for (hflip, vflip, expected) in
        [(1.0, 0.0, [3, 2, 1, 6, 5, 4]), (0.0, 1.0, [4, 5, 6, 1, 2, 3]), (1.0, 1.0, [6, 5, 4, 3, 2, 1])]
    {
        let config = Config { hflip, vflip, ..Config::none() };
        let mut stream = Seed::new(0).stream("hflip", &[]);
        let mut sample = start.clone();
        apply(&config, &mut sample, size, 1, &mut stream);
        assert_eq!(sample.image, expected);
        assert_eq!(sample.targets, [Target::Mask(expected.to_vec())]);
        apply(&config, &mut sample, size, 1, &mut stream);
        assert_eq!(sample, start);
    }
}

#[test]
fn image_mask_and_depth_move_together() {
    let geometry =
        Config { hflip: 0.5, vflip: 0.5, shift: 0.1, scale: [0.9, 1.3], rotation_degrees: 45.0, ..Config::none() };
    let (mut moved, mut shift) = (0, [0.0; 2]);
    for row in 0..200 {
        let sample = view(&geometry, row);
        let image = centroid(|at| f64::from(sample.image[at] - 20));
        let labels = centroid(|at| f64::from(u8::from(mask(&sample)[at] == 2)));
        let values = centroid(|at| f64::from(u8::from(!depth(&sample)[at].is_nan())));
        for i in 0..2 {
            assert!((image[i] - labels[i]).abs() < 0.5, "row {row}: image {image:?}, mask {labels:?}");
        }
        assert_eq!(labels, values);
        (0..2).for_each(|i| shift[i] += (labels[i] - image[i]) / 200.0);
        moved += usize::from((labels[0] - 12.0).abs() > 2.0);
    }
    assert!(moved > 100, "only {moved} of 200 views moved");
    assert!(shift.iter().all(|shift| shift.abs() < 0.03), "masks are shifted by {shift:?}");
}

#[test]
fn ties_have_no_direction() {
    // Half the size: all source positions lie between two pixels.
    let size = Size { height: 8, width: 8 };
    let labels: Vec<u8> = (0..64).collect();
    let flipped = |labels: &[u8]| labels.chunks(8).flat_map(|row| row.iter().rev().copied()).collect::<Vec<_>>();
    let warp = Warp::new([false, false], [0.0; 2], 0.5, 0.0, size);
    let seen = warp.labels(labels.clone());
    // Target pixel t lies at 2 t - 3.5: row 3 at 2.5 (taken as 3), columns 2 to 5 at 0.5, 2.5, 4.5, 6.5 (1, 3, 4, 6).
    assert_eq!(seen[3 * 8 + 2..3 * 8 + 6], [25, 27, 28, 30]);
    assert_eq!(warp.labels(flipped(&labels)), flipped(&seen));
    let mirrored = Warp::new([true, false], [0.0; 2], 0.5, 0.0, size);
    assert_eq!(mirrored.labels(labels), flipped(&seen));
}

#[test]
fn a_shift_by_hand() {
    // Shifted by exactly one column: the outside is the mirrored edge column.
    let size = Size { height: 1, width: 4 };
    let warp = Warp::new([false, false], [-1.0, 0.0], 1.0, 0.0, size);
    assert_eq!(warp.image(vec![10, 20, 30, 40], 1), [10, 10, 20, 30]);
    assert_eq!(warp.labels(vec![1u8, 2, 3, 4]), [1, 1, 2, 3]);
    // By half a column: means of neighbours.
    let warp = Warp::new([false, false], [0.5, 0.0], 1.0, 0.0, size);
    assert_eq!(warp.image(vec![10, 20, 30, 40], 1), [15, 25, 35, 40]);
    // A quarter turn about the centre of a square, clockwise on the screen.
    let square = Size { height: 2, width: 2 };
    let warp = Warp::new([false, false], [0.0, 0.0], 1.0, std::f64::consts::FRAC_PI_2, square);
    assert_eq!(warp.labels(vec![1u8, 2, 3, 4]), [3, 1, 4, 2]);
    assert_eq!((-5..7).map(|i| reflect(i, 3)).collect::<Vec<_>>(), [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
}

#[test]
fn labels_are_never_invented_and_views_are_repeatable() {
    for row in 0..20 {
        let sample = view(&Config::standard(), row);
        assert!(mask(&sample).iter().all(|&value| value == 2 || value == 7));
        assert!(depth(&sample).iter().all(|&value| value.is_nan() || value == 0.25));
        assert_eq!(sample.targets[0], Target::Class(vec![4]));
        let again = view(&Config::standard(), row);
        assert_eq!((&sample.image, mask(&sample)), (&again.image, mask(&again)));
        assert_ne!(sample.image, view(&Config::standard(), row + 1).image);
    }
}

#[test]
fn colour_by_hand() {
    let plain = Colour { brightness: 0.0, contrast: 1.0, saturation: 1.0, hue: 0.0 };
    let run = |colour: Colour, image: [u8; 3], channels: usize| {
        let mut image = image;
        colour.apply(&mut image, channels);
        image
    };
    assert_eq!(run(Colour { brightness: 51.0, ..plain }, [0, 100, 230], 1), [51, 151, 255]);
    // 127.5 + 2 (v - 127.5)
    assert_eq!(run(Colour { contrast: 2.0, ..plain }, [100, 130, 0], 3), [73, 133, 0]);
    // Without saturation all that is left is 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2.
    assert_eq!(run(Colour { saturation: 0.0, ..plain }, [200, 100, 50], 3), [124; 3]);
    // A third of a turn swaps the channels round.
    let third = Colour { hue: std::f32::consts::TAU / 3.0, ..plain };
    assert_eq!(run(third, [200, 100, 50], 3), [50, 200, 100]);
    // Grey stays grey.
    let all = Colour { brightness: 0.0, contrast: 1.0, saturation: 0.4, hue: 1.0 };
    assert_eq!(run(all, [90; 3], 3), [90; 3]);
}

#[test]
fn cutout_is_grey_on_the_image_alone() {
    let size = Size { height: 4, width: 4 };
    let mut image = vec![9; 32];
    cut_out(&mut image, 0.5, [0.5, 0.0], size);
    let grey: Vec<usize> = (0..32).filter(|&at| image[at] == 128).collect();
    assert_eq!(grey, [1, 2, 17, 18]); // columns 1 and 2 of row 0: the upper half lies outside
    let sample = view(&Config { cutout: 0.5, ..Config::none() }, 3);
    assert!(sample.image.contains(&128));
    assert_eq!(mask(&sample), mask(&blob()));
}

#[test]
fn presets_are_valid_and_mistakes_are_named() {
    for preset in PRESETS {
        (preset.item)().validate().unwrap();
    }
    let error = Config { shift: 8.0, ..Config::none() }.validate().unwrap_err();
    assert_eq!(error.to_string(), "augment.shift = 8: must lie between 0 and 1");
    for scale in [[1.2, 1.0], [0.0, 1.0], [f64::NAN, 1.0]] {
        assert_eq!(Config { scale, ..Config::none() }.validate().unwrap_err().key, "scale");
    }
}
