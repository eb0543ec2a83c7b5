//! Images of more channels than a picture has.

use std::fs::{self, File};
use std::path::Path;

use mtl_data::{OpenOptions, Size, open};
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

/// 16 x 8 pixels of `channels` numbers of 16 bits; channel `c` is `100 c + shade` everywhere.
fn write(path: &Path, channels: u16, shade: u16) {
    let mut encoder = TiffEncoder::new(File::create(path).unwrap()).unwrap();
    let numbers: Vec<u16> = (0..128).flat_map(|_| (0..channels).map(|channel| 100 * channel + shade)).collect();
    let mut image = encoder.new_image::<colortype::Gray16>(16 * u32::from(channels), 8).unwrap();
    image.rows_per_strip(8).unwrap();
    let each = |value: u16, count: u16| vec![value; usize::from(count)];
    image.encoder().write_tag(Tag::ImageWidth, 16_u32).unwrap();
    image.encoder().write_tag(Tag::SamplesPerPixel, channels).unwrap();
    image.encoder().write_tag(Tag::BitsPerSample, &each(16, channels)[..]).unwrap();
    image.encoder().write_tag(Tag::SampleFormat, &each(1, channels)[..]).unwrap();
    image.encoder().write_tag(Tag::ExtraSamples, &each(0, channels - 1)[..]).unwrap();
    image.write_data(&numbers).unwrap();
}

fn folder(channels: u16) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for class in ["crop", "water"] {
        fs::create_dir(temp.path().join(class)).unwrap();
        (0..4).for_each(|at| write(&temp.path().join(format!("{class}/{at}.tif")), channels, 300 * (at + 1)));
    }
    temp
}

#[test]
fn a_folder_of_many_channels_is_read_with_the_option() {
    let temp = folder(6);
    let options = OpenOptions { channels: Some(6), ..OpenOptions::default() };
    let data = open(temp.path(), &options).unwrap();
    assert_eq!((data.schema().channels, data.len()), (6, 8));
    assert_eq!(data.largest_value(), Some(4095.0), "{:?}", data.reading().lines());
    let size = Size { height: 4, width: 8 };
    let sample = data.sample(0, size).unwrap();
    assert_eq!(sample.image.len(), 6 * size.pixels());
    for (channel, plane) in sample.image.chunks_exact(size.pixels()).enumerate() {
        let byte = ((100 * channel + 300) as f32 / 4095.0 * 255.0).round() as u8;
        assert!(plane.iter().all(|&value| value == byte), "channel {channel}: {plane:?}");
    }
}

#[test]
fn without_the_option_or_with_another_number_it_is_refused() {
    let temp = folder(6);
    let refused = |channels| {
        let options = OpenOptions { channels, ..OpenOptions::default() };
        open(temp.path(), &options).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(None).contains("data.open.channels = 6 reads them all"), "{}", refused(None));
    assert!(refused(Some(5)).contains("6 channels where data.open.channels = 5"), "{}", refused(Some(5)));
    let headers = OpenOptions { verify: false, ..OpenOptions::default() };
    let error = open(temp.path(), &headers).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("data.open.channels = 6"), "{error}");
}
