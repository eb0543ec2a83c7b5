//! Measures of generation against torch-fidelity, pytorch-fid and prdc.

use std::path::Path;

use mtl_metrics::generation::{Features, GenerationScore, frechet_distance, kid_of_subsets, manifold};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// `tests/goldens/generation.py` documents the content.
struct Golden<'a> {
    file: SafeTensors<'a>,
    case: &'a str,
}

impl<'a> Golden<'a> {
    fn tensor(&self, name: &str, dtype: Dtype) -> TensorView<'a> {
        let tensor = self.file.tensor(&format!("{}/{name}", self.case)).unwrap();
        assert_eq!(tensor.dtype(), dtype, "{name}");
        tensor
    }

    fn features(&self, name: &str) -> Features<'static> {
        let tensor = self.tensor(name, Dtype::F32);
        let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        Features::new(tensor.data().chunks_exact(4).map(number).collect::<Vec<_>>(), tensor.shape()[1]).unwrap()
    }

    fn rows(&self, name: &str) -> Vec<Vec<usize>> {
        let tensor = self.tensor(name, Dtype::I64);
        let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap()) as usize;
        let rows: Vec<usize> = tensor.data().chunks_exact(8).map(number).collect();
        rows.chunks_exact(tensor.shape()[1]).map(<[usize]>::to_vec).collect()
    }

    /// Compares a value with that of a package, up to a relative tolerance.
    fn agrees(&self, package: &str, found: f64, tolerance: f64) {
        let tensor = self.tensor(package, Dtype::F64);
        let expected = f64::from_le_bytes(tensor.data().try_into().unwrap());
        assert!(
            (found - expected).abs() <= tolerance * expected.abs(),
            "{} {package}: {found} instead of {expected}",
            self.case
        );
    }
}

#[test]
fn other_packages_give_the_same_numbers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/generation.safetensors");
    let bytes = std::fs::read(path).unwrap();
    for case in ["tall", "wide"] {
        let golden = Golden { file: SafeTensors::deserialize(&bytes).unwrap(), case };
        let (real, generated) = (golden.features("real"), golden.features("generated"));

        let distance = frechet_distance(&real, &generated).unwrap().value;
        golden.agrees("fidelity/frechet_distance", distance, 1e-6);
        golden.agrees("pytorch_fid/frechet_distance", distance, 1e-6);

        let subsets: Vec<_> = golden.rows("subsets/real").into_iter().zip(golden.rows("subsets/generated")).collect();
        let kid = kid_of_subsets(&real, &generated, &subsets).unwrap();
        golden.agrees("fidelity/kid", kid.value, 1e-6);
        golden.agrees("fidelity/kid_spread", kid.spread.unwrap(), 1e-6);

        for k in [3, 5] {
            let found = manifold(&real, &generated, k).unwrap();
            let agree =
                |score: &GenerationScore| golden.agrees(&format!("prdc/{}/{k}", score.name), score.value, 1e-12);
            [&found.precision, &found.recall, &found.density, &found.coverage].into_iter().for_each(agree);
        }
        // torch-fidelity takes means in single precision.
        let near = manifold(&real, &generated, 3).unwrap();
        golden.agrees("fidelity/precision", near.precision.value, 1e-6);
        golden.agrees("fidelity/recall", near.recall.value, 1e-6);
    }
}
