//! Arcs between latents, and animation files.

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, Rgb, RgbImage};

use super::animation::{write_apng, write_gif};
use super::interpolation::between;

fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
}

#[test]
fn an_arc_keeps_its_distance_from_the_mean() {
    let (a, b, zero) = ([2.0, 0.0], [0.0, 2.0], [0.0, 0.0]);
    assert!(near(&between([&a, &b], [&zero, &zero], 0.0), &a) && near(&between([&a, &b], [&zero, &zero], 1.0), &b));
    // Half of a right angle: 2 (cos 45, sin 45), where a straight line passes (1, 1).
    let half = 2f64.sqrt();
    assert!(near(&between([&a, &b], [&zero, &zero], 0.5), &[half, half]));
    // The same arc around other means, which move on a straight line.
    let moved = between([&[3.0, 1.0], &[5.0, 3.0]], [&[1.0, 1.0], &[5.0, 1.0]], 0.5);
    assert!(near(&moved, &[3.0 + half, 1.0 + half]), "{moved:?}");
    // Equal and opposite directions, and an end at the mean, have no arc.
    assert!(near(&between([&a, &a], [&zero, &zero], 0.3), &a));
    assert!(near(&between([&a, &[-2.0, 0.0]], [&zero, &zero], 0.25), &[1.0, 0.0]));
    assert!(near(&between([&a, &zero], [&zero, &zero], 0.5), &[1.0, 0.0]));
}

#[test]
fn animations_decode_to_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let frame = |shade: u8| RgbImage::from_fn(8, 6, |x, _| Rgb([shade, 10 * x as u8, 255 - shade]));
    let frames = [frame(0), frame(100), frame(200)];
    let (gif, apng) = (dir.path().join("new/a.gif"), dir.path().join("new/a.apng"));
    write_gif(&gif, &frames).unwrap();
    write_apng(&apng, &frames).unwrap();
    let open = |path| std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let from_png = PngDecoder::new(open(&apng)).unwrap().apng().unwrap().into_frames().collect_frames().unwrap();
    let from_gif = GifDecoder::new(open(&gif)).unwrap().into_frames().collect_frames().unwrap();
    assert_eq!((from_png.len(), from_gif.len()), (3, 3));
    for (at, expected) in frames.iter().enumerate() {
        for found in [&from_png[at], &from_gif[at]] {
            assert_eq!(found.delay().numer_denom_ms(), (80, 1));
            let rgb = image::DynamicImage::ImageRgba8(found.buffer().clone()).into_rgb8();
            assert_eq!(&rgb, expected, "frame {at}: fewer than 256 colours are kept by both");
        }
    }
}
