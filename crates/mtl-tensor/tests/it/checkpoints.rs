//! Checkpoints of other programs. `tests/goldens/inception.py` writes the files of PyTorch.

use std::collections::BTreeMap;

use mtl_tensor::{DType, Device, Tensor, serial, to_f64};

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const FILES: [&str; 2] = ["torch_zip.pth", "torch_sequence.pth"];

#[test]
fn both_formats_of_pytorch_are_read() {
    for name in FILES {
        let tensors = serial::read_weights(&file(name)).unwrap();
        let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        let norm = ["1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight"];
        assert_eq!(names, [&["0.bias", "0.weight"][..], &norm].concat(), "{name}");
        let values = |key: &str| to_f64(&tensors[key].to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(
            (tensors["0.weight"].dims(), values("0.weight")),
            (&[2, 1, 2, 2][..], (0..8).map(f64::from).collect())
        );
        for (key, first) in [("0.bias", 10.0), ("1.weight", 20.0), ("1.bias", 30.0), ("1.running_var", 50.0)] {
            assert_eq!(values(key), [first, first + 1.0], "{name} {key}");
        }
        assert_eq!(
            (tensors["1.num_batches_tracked"].dtype(), values("1.num_batches_tracked")),
            (DType::I64, vec![60.0])
        );
    }
}

#[test]
fn a_file_cut_short_is_an_error_at_any_length() {
    for name in FILES {
        let whole = file(name);
        for length in 0..whole.len() {
            // The last bytes of a zip archive are a comment's length.
            let error = serial::read_weights(&whole[..length]).unwrap_err().to_string();
            assert!(
                length < 16 || error.contains("checkpoint of PyTorch that cannot be read"),
                "{name} {length}: {error}"
            );
        }
    }
}

#[test]
fn a_damaged_file_never_panics() {
    for name in FILES {
        let whole = file(name);
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // A number may have changed: then there are tensors.
            let _ = serial::read_weights(&damaged);
        }
    }
}

#[test]
fn safetensors_and_nothing_else() {
    let one = BTreeMap::from([("a".to_owned(), Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap())]);
    let bytes = serial::to_bytes(&one, &BTreeMap::new()).unwrap();
    assert_eq!(to_f64(&serial::read_weights(&bytes).unwrap()["a"]).unwrap(), [1.0, 2.0]);
    let error = serial::read_weights(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(error.starts_with("a safetensors file that is cut short or damaged"), "{error}");
    let error = serial::read_weights(b"not a checkpoint at all").unwrap_err().to_string();
    assert_eq!(error, "neither a checkpoint of PyTorch nor a safetensors file");
}
