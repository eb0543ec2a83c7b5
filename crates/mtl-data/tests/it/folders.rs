//! Every layout of loose files, generated small.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use mtl_data::{Dataset, Labels, OpenOptions, READERS, Size, Subset, open};
use mtl_task::{Target, TaskKind};

pub const SIZE: Size = Size { height: 4, width: 6 };

/// Saves an image of [`SIZE`], making its folder.
pub fn save(root: &Path, name: &str, image: impl Into<DynamicImage>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

pub fn colour(shade: u8) -> RgbImage {
    RgbImage::from_fn(6, 4, |x, y| Rgb([shade, (x * 20) as u8, (y * 30) as u8]))
}

pub fn grey(shade: u8) -> GrayImage {
    GrayImage::from_fn(6, 4, |x, _| Luma([shade.wrapping_add(x as u8)]))
}

/// A mask whose left `columns` columns are `value`.
pub fn left(columns: u32, value: u8) -> GrayImage {
    GrayImage::from_fn(6, 4, |x, _| Luma([if x < columns { value } else { 0 }]))
}

pub fn opened(root: &Path) -> Box<dyn Dataset> {
    open(root, &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn row_named(data: &dyn Dataset, name: &str) -> usize {
    (0..data.len()).find(|&row| data.row_name(row) == name).unwrap_or_else(|| panic!("no row {name}"))
}

fn task_names(data: &dyn Dataset) -> Vec<&str> {
    data.schema().tasks.iter().map(|task| task.name.as_str()).collect()
}

fn foreground(target: &Target) -> usize {
    let Target::Mask(mask) = target else { panic!("{target:?}") };
    mask.iter().filter(|&&class| class == 1).count()
}

#[test]
fn busi_masks_beside_images_are_united() {
    let temp = tempfile::tempdir().unwrap();
    for (name, shade) in [("benign/benign (1)", 10), ("benign/benign (2)", 20), ("normal/normal (1)", 30)] {
        save(temp.path(), &format!("{name}.png"), grey(shade));
    }
    save(temp.path(), "benign/benign (1)_mask.png", left(1, 255));
    let right = GrayImage::from_fn(6, 4, |x, _| Luma([if x == 5 { 255 } else { 0 }]));
    save(temp.path(), "benign/benign (1)_mask_1.png", right);
    save(temp.path(), "normal/normal (1)_mask.png", left(0, 255));
    save(temp.path(), "normal/gone_mask.png", left(0, 255));
    let data = opened(temp.path());
    assert_eq!((data.len(), data.schema().channels, task_names(&*data)), (3, 1, vec!["class", "mask"]));
    assert_eq!(data.schema().tasks[0].kind.classes(), ["benign", "normal"]);
    let first = data.sample(row_named(&*data, "benign/benign (1).png"), SIZE).unwrap();
    assert_eq!(foreground(&first.targets[1]), 8, "columns 0 and 5");
    assert_eq!(first.image[..6], [10, 11, 12, 13, 14, 15]);
    let second = row_named(&*data, "benign/benign (2).png");
    assert_eq!(data.labels(second), [Labels::Class(0), Labels::Missing]);
    assert_eq!(data.sample(second, SIZE).unwrap().targets[1].present(), 0);
    let reading = data.reading();
    assert_eq!(reading.guesses, ["3 files next to 2 images are named after their image: they are read as masks"]);
    let left = &reading.unread["a mask that belongs to no image, or to several of one name"];
    assert_eq!((left.count, &left.first[..]), (1, &[temp.path().join("normal/gone_mask.png")][..]));
    assert_eq!((reading.unread.len(), reading.reader.as_str()), (1, "folder"));
}

#[test]
fn pets_read_their_list_and_trimaps_only_where_present() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    fs::create_dir_all(root.join("annotations")).unwrap();
    let list = "#Image CLASS-ID SPECIES BREED ID\nBengal_1 1 1 1\nBengal_2 1 1 1\nbasset_hound_7 2 2 1\n";
    fs::write(root.join("annotations/list.txt"), list).unwrap();
    for stem in ["Bengal_1", "Bengal_2", "basset_hound_7", "unlisted_1"] {
        save(root, &format!("images/{stem}.jpg"), colour(90));
    }
    assert_eq!(task_names(&*opened(root)), ["breed", "species"]);
    let trimap = GrayImage::from_fn(6, 4, |x, _| Luma([1 + (x % 3) as u8]));
    save(root, "annotations/trimaps/Bengal_2.png", trimap);
    fs::write(root.join("annotations/test.txt"), "Bengal_1 1 1 1\n").unwrap();
    let data = opened(root);
    assert_eq!(task_names(&*data), ["breed", "species", "trimap"]);
    assert_eq!(data.schema().tasks[0].kind.classes(), ["Bengal", "basset_hound"]);
    assert_eq!(data.labels(2), [Labels::Class(1), Labels::Class(1), Labels::Missing]);
    assert_eq!([0, 1].map(|row| data.subset(row)), [Some(Subset::Test), Some(Subset::Train)]);
    let sample = data.sample(1, SIZE).unwrap();
    // Values 1 pet, 2 background, 3 border are classes 1, 0, 2.
    let Target::Mask(mask) = &sample.targets[2] else { panic!() };
    assert_eq!(mask[..6], [1, 0, 2, 1, 0, 2]);
    assert_eq!(data.reading().unread["not in annotations/list.txt"].count, 1);
}

#[test]
fn generic_folders_find_classes_masks_and_parts() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for (part, count) in [("train", 3), ("val", 1), ("test", 1)] {
        for class in ["cup", "jar"] {
            for at in 0..count {
                save(root, &format!("{part}/images/{class}/{part}{at}.png"), colour(at * 9));
            }
        }
    }
    save(root, "train/masks/cup/train0.png", left(2, 1));
    save(root, "train/masks/jar/train0_mask.png", left(3, 1));
    let data = opened(root);
    assert_eq!((data.len(), data.schema().channels, task_names(&*data)), (10, 3, vec!["class", "mask"]));
    assert_eq!(data.schema().tasks[1].kind.classes(), ["background", "foreground"]);
    let row = row_named(&*data, "train/images/jar/train0.png");
    assert_eq!(foreground(&data.sample(row, SIZE).unwrap().targets[1]), 12);
    assert_eq!(data.labels(row), [Labels::Class(1), Labels::Pixels]);
    let parts = |part| (0..10).filter(|&row| data.subset(row) == Some(part)).count();
    assert_eq!([Subset::Train, Subset::Validation, Subset::Test].map(parts), [6, 2, 2]);

    // Flat masks under bare stems, classes without images/.
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for name in ["a/1", "a/2", "b/3", "b/2"] {
        save(root, &format!("{name}.png"), colour(7));
    }
    for stem in ["1", "2"] {
        save(root, &format!("masks/{stem}.png"), left(1, 255));
    }
    let data = opened(root);
    assert_eq!(data.schema().tasks[0].kind.classes(), ["a", "b"]);
    let masked: Vec<String> =
        (0..4).filter(|&row| data.labels(row)[1] == Labels::Pixels).map(|row| data.row_name(row)).collect();
    assert_eq!(masked, ["a/1.png"], "mask 2 could belong to two images");
    assert_eq!(data.reading().unread["a mask that belongs to no image, or to several of one name"].count, 1);
}

#[test]
fn alpha_is_the_mask_only_if_every_image_has_it_and_there_are_no_masks() {
    let temp = tempfile::tempdir().unwrap();
    let clear = RgbaImage::from_fn(6, 4, |x, _| Rgba([10, 20, 30, if x < 2 { 255 } else { 0 }]));
    for at in 0..3 {
        save(temp.path(), &format!("images/{at}.png"), clear.clone());
    }
    let data = opened(temp.path());
    assert_eq!(task_names(&*data), ["mask"]);
    let sample = data.sample(0, SIZE).unwrap();
    assert_eq!(foreground(&sample.targets[0]), 8);
    assert_eq!(sample.image[..6], [10, 10, 255, 255, 255, 255], "outside is white");
    save(temp.path(), "images/solid.png", colour(1));
    let data = opened(temp.path());
    assert_eq!(task_names(&*data), [""; 0]);
    let lines = data.reading().lines();
    assert!(lines[0].contains("3 of 4 images have transparent pixels") && lines[1].contains("no labels were found"));
}

#[test]
fn manifests_give_tasks_by_their_columns() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let table = "\u{feff}image, mask, depth, split, grade, spots, holes, kind, id, site\n\
                 a.png, m.png, , train, 10, 1, 0, x, q1, s\n\
                 b.png, , d.png, test, 2, 0, , , q2, s\n\
                 c.png, , , , 10, , , y, q3, s\n\
                 d.png, , , val, , 1, 1, x, q4, s\n";
    fs::write(root.join("manifest.csv"), table).unwrap();
    for (at, name) in ["a", "b", "c", "d"].iter().enumerate() {
        save(root, &format!("{name}.png"), colour(at as u8));
    }
    let mask = RgbImage::from_fn(6, 4, |x, _| Rgb(if x < 1 { [255, 0, 0] } else { [0, 0, 0] }));
    save(root, "m.png", mask);
    fs::write(root.join("palette.csv"), "value,name\n0,ground\n\"255,0,0\",spot\n").unwrap();
    let depth: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(6, 4, Luma([13107_u16]));
    save(root, "d.png", depth.clone());
    save(root, "d16.png", depth);
    fs::write(root.join("manifest.csv"), table.replace("d.png, test", "d16.png, test")).unwrap();
    save(root, "d.png", colour(3));
    for path in [root.to_owned(), root.join("manifest.csv")] {
        let data = open(&path, &OpenOptions::default()).unwrap();
        assert_eq!(task_names(&*data), ["grade", "labels", "kind", "mask", "depth"]);
        let kinds: Vec<&TaskKind> = data.schema().tasks.iter().map(|task| &task.kind).collect();
        assert_eq!(kinds[0].classes(), ["2", "10"], "sorted as numbers");
        assert_eq!(kinds[1].classes(), ["spots", "holes"]);
        assert_eq!(kinds[3].classes(), ["ground", "spot"]);
        let cells = Labels::MultiLabel(vec![Some(false), None]);
        assert_eq!(data.labels(1), [Labels::Class(0), cells, Labels::Missing, Labels::Missing, Labels::Pixels]);
        assert_eq!(data.labels(2)[1], Labels::Missing);
        let parts = [Some(Subset::Train), Some(Subset::Test), None, Some(Subset::Validation)];
        assert_eq!([0, 1, 2, 3].map(|row| data.subset(row)), parts);
        let [first, second] = [0, 1].map(|row| data.sample(row, SIZE).unwrap().targets);
        assert_eq!(foreground(&first[3]), 4);
        let Target::Dense(depth) = &second[4] else { panic!() };
        assert!(depth.iter().all(|value| *value == 13107.0));
        assert_eq!(first[4].present(), 0);
        assert!(matches!(&second[1], Target::MultiLabel(values) if values[0] == 0.0 && values[1].is_nan()));
        let notes = data.reading().lines().join("\n");
        assert!(
            notes.contains("`id` is an identifier by its name (4 different values in 4 rows)")
                && notes.contains("`site` holds only `s`")
        );
    }
}

#[test]
fn a_single_yes_no_column_is_a_classification() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("manifest.csv"), "image,sick\na.png,0\nb.png,1\n").unwrap();
    save(temp.path(), "a.png", colour(0));
    save(temp.path(), "b.png", colour(1));
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind, TaskKind::Classification { classes: vec!["0".into(), "1".into()] });
}

#[test]
fn channels_follow_the_pixels_or_the_option() {
    let temp = tempfile::tempdir().unwrap();
    let stored_in_colour = DynamicImage::from(grey(9)).to_rgb8();
    save(temp.path(), "images/a.png", grey(5));
    save(temp.path(), "images/b.png", stored_in_colour);
    assert_eq!(opened(temp.path()).schema().channels, 1);
    let options = OpenOptions { channels: Some(3), ..OpenOptions::default() };
    assert_eq!(open(temp.path(), &options).unwrap().sample(0, SIZE).unwrap().image.len(), 3 * 24);
    save(temp.path(), "images/c.png", colour(5));
    assert_eq!(opened(temp.path()).schema().channels, 3);
}

#[test]
fn archives_that_wrap_a_folder_are_seen_through() {
    let temp = tempfile::tempdir().unwrap();
    for class in ["x", "y"] {
        save(temp.path(), &format!("download/set/{class}/1.png"), colour(1));
    }
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind.classes(), ["x", "y"]);
    assert_eq!(data.schema().name, "set");
}

#[test]
fn rows_do_not_depend_on_threads_and_hashes_tell_files_apart() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..20 {
        save(temp.path(), &format!("images/{}/{at}.png", at % 2), colour(at * 3));
    }
    save(temp.path(), "images/0/again.png", colour(0));
    let names = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let data = pool.install(|| opened(temp.path()));
        (0..data.len()).map(|row| (data.row_name(row), data.content_hash(row).unwrap())).collect::<Vec<_>>()
    };
    let one = names(1);
    assert_eq!(one, names(4));
    let hash = |name: &str| one.iter().find(|row| row.0 == name).unwrap().1;
    assert_eq!(hash("images/0/again.png"), hash("images/0/0.png"));
    assert_ne!(hash("images/0/2.png"), hash("images/0/0.png"));
}

#[test]
fn readers_have_unique_names_and_can_be_named() {
    for (at, reader) in READERS.iter().enumerate() {
        assert!(!reader.summary.is_empty() && READERS[..at].iter().all(|other| other.name != reader.name));
    }
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("manifest.csv"), "image,a\nx/1.png,0\ny/1.png,1\n").unwrap();
    save(temp.path(), "x/1.png", colour(0));
    save(temp.path(), "y/1.png", colour(1));
    assert_eq!(task_names(&*opened(temp.path())), ["a"]);
    let named = OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() };
    assert_eq!(task_names(&*open(temp.path(), &named).unwrap()), ["class"]);
    let wrong = OpenOptions { reader: Some("foldr".into()), ..OpenOptions::default() };
    let error = open(temp.path(), &wrong).err().unwrap().to_string();
    assert!(error.contains("unknown reader `foldr`: did you mean `folder`?"), "{error}");
}
