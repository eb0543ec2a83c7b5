//! Data sets in a few large files.

use std::fs;
use std::path::Path;

use mtl_data::{OpenOptions, Size, Subset, open};
use mtl_task::Target;

use crate::folders::opened;

fn refusal(root: &Path) -> String {
    open(root, &OpenOptions::default()).err().expect("a refusal").to_string()
}

pub fn cifar_records(classes: &[u8]) -> Vec<u8> {
    let record = |&class: &u8| std::iter::once(class).chain((0..3072).map(move |at| class * 10 + (at / 1024) as u8));
    classes.iter().flat_map(record).collect()
}

#[test]
fn cifar10_binary_files() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("cifar-10-batches-bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data_batch_1.bin"), cifar_records(&[3, 0])).unwrap();
    fs::write(folder.join("data_batch_2.bin"), cifar_records(&[9])).unwrap();
    fs::write(folder.join("test_batch.bin"), cifar_records(&[5])).unwrap();
    let data = opened(temp.path());
    assert_eq!((data.len(), data.schema().channels), (4, 3));
    assert_eq!(data.schema().tasks[0].kind.classes()[3], "cat");
    assert_eq!([0, 3].map(|row| data.subset(row)), [Some(Subset::Train), Some(Subset::Test)]);
    assert_eq!([0, 3].map(|row| data.row_name(row)), ["train/0", "test/0"]);
    let sample = data.sample(3, Size { height: 16, width: 8 }).unwrap();
    assert_eq!(sample.targets, [Target::Class(vec![5])]);
    assert_eq!([0, 128, 256].map(|at| sample.image[at]), [50, 51, 52], "planes stay planes");
    let grey = OpenOptions { channels: Some(1), ..OpenOptions::default() };
    let sample = open(temp.path(), &grey).unwrap().sample(0, Size { height: 32, width: 32 }).unwrap();
    assert_eq!((sample.image.len(), sample.image[0]), (1024, 30));

    fs::write(folder.join("test_batch.bin"), &cifar_records(&[5])[..3000]).unwrap();
    assert!(refusal(temp.path()).contains("test_batch.bin: 3000 bytes are no whole number"));
    fs::write(folder.join("test_batch.bin"), cifar_records(&[10])).unwrap();
    assert!(refusal(temp.path()).contains("record 0 is of class 10"));
}

pub fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

#[test]
fn idx_files() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let images: Vec<u8> = (0..12).collect();
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[2, 2, 3], &images)).unwrap();
    fs::write(root.join("train-labels-idx1-ubyte"), idx(&[2], &[4, 1])).unwrap();
    fs::write(root.join("t10k-images.idx3-ubyte"), idx(&[1, 2, 3], &images[..6])).unwrap();
    fs::write(root.join("t10k-labels.idx1-ubyte"), idx(&[1], &[0])).unwrap();
    let data = opened(root);
    assert_eq!((data.len(), data.schema().channels, data.schema().tasks[0].kind.outputs()), (3, 1, 5));
    let size = Size { height: 2, width: 3 };
    assert_eq!(data.sample(1, size).unwrap().image, [6, 7, 8, 9, 10, 11]);
    assert_eq!(data.subset(2), Some(Subset::Test));
    assert_eq!(data.native_size(0), Some(size));

    fs::write(root.join("train-labels-idx1-ubyte"), idx(&[3], &[4, 1, 1])).unwrap();
    assert!(refusal(root).contains("3 labels for 2 images"));
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[2, 2, 3], &images[..11])).unwrap();
    assert!(refusal(root).contains("truncated?"));
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[u32::MAX, 9999, 9999], &[])).unwrap();
    assert!(refusal(root).contains("truncated?"));
    fs::write(root.join("train-images-idx3-ubyte"), b"\x1f\x8b gzip").unwrap();
    assert!(refusal(root).contains("wrong magic number"));
    fs::remove_file(root.join("train-labels-idx1-ubyte")).unwrap();
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[2, 2, 3], &images)).unwrap();
    assert!(refusal(root).contains("train-labels-idx1-ubyte"));
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_parquet_files_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join("plain_text")).unwrap();
    fs::write(temp.path().join("plain_text/train-00000-of-00001.parquet"), b"PAR1 but nothing else").unwrap();
    assert!(refusal(temp.path()).contains("train-00000-of-00001.parquet: "));
}
