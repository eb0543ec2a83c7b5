//! Comparison of a network with recorded reference values (a golden): the first step's outputs, loss, gradients and running statistics, the
//! parameters after five steps, and the outputs in evaluation mode. `recording.py` documents the files.

use std::collections::BTreeMap;

use mtl_rng::Seed;
use mtl_tensor::optim::{self, Optimizer, collect};
use mtl_tensor::{Ctx, DType, Params, Tensor, Var, backward, gradcheck, serial, to_f64};

/// Tensors by the names in the recording program.
pub type Named = Vec<(String, Tensor)>;

/// One file.
pub struct Golden {
    name: String,
    tensors: BTreeMap<String, Tensor>,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = format!("{}/../../tests/goldens/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let place = |(key, value): (String, Tensor)| (key, value.to_device(gradcheck::device()).unwrap());
        Self { name: name.to_owned(), tensors: serial::from_bytes(&bytes).unwrap().into_iter().map(place).collect() }
    }

    pub fn tensor(&self, key: &str) -> &Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("{}: no `{key}`", self.name))
    }

    /// The tensors whose names begin with `prefix`, without it.
    fn group(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let strip = |(key, value): (&String, &Tensor)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()));
        self.tensors.iter().filter_map(strip).collect()
    }

    /// Checks that the names are equal and that each tensor's largest difference is within `tolerance` of its largest value.
    fn same(&self, prefix: &str, found: impl IntoIterator<Item = (String, Tensor)>, tolerance: f64) {
        let mut expected = self.group(prefix);
        for (key, found) in found {
            let what = format!("{}: {prefix}{key}, {:?}", self.name, found.dtype());
            let expected = expected.remove(&key).unwrap_or_else(|| panic!("{what} is not in the golden"));
            assert_eq!(found.dims(), expected.dims(), "{what}");
            let (found, expected) = (to_f64(&found).unwrap(), to_f64(&expected).unwrap());
            let size = expected.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
            let error = found.iter().zip(&expected).fold(0.0, |worst: f64, (a, b)| {
                let error = (a - b).abs();
                if error.is_nan() { f64::INFINITY } else { worst.max(error) }
            });
            assert!(error <= tolerance * size, "{what}: off by {error:e}, largest value {size:e}");
        }
        assert!(expected.is_empty(), "{}: {prefix} not computed: {:?}", self.name, expected.keys());
    }
}

/// A network under comparison: its parameters, the inputs that get a gradient, and a pass that gives named outputs and
/// the loss.
pub struct Network<'a> {
    pub params: Params,
    pub inputs: BTreeMap<String, Var>,
    #[allow(clippy::type_complexity)]
    pub pass: Box<dyn Fn(&Ctx) -> (Named, Tensor) + 'a>,
}

/// Compares the network of `build`: in f32 and f64, and in f64 once more with the code for accelerators.
pub fn compare(
    name: &str,
    optimizer: optim::Config,
    lr: f64,
    build: impl for<'a> Fn(&'a Golden, DType) -> Network<'a>,
) {
    let golden = Golden::open(name);
    let run = |dtype, tolerance| follow(&golden, build(&golden, dtype), optimizer, lr, tolerance);
    run(DType::F32, 1e-4);
    run(DType::F64, 1e-6);
    gradcheck::on_accelerator_code(|| run(DType::F64, 1e-6));
}

fn follow(golden: &Golden, network: Network<'_>, config: optim::Config, lr: f64, tolerance: f64) {
    let Network { params, inputs, pass } = network;
    params.load(&golden.group("before/")).unwrap();
    let mut optimizer = Optimizer::new(config, &params.trainable(), |_| 1.0).unwrap();
    for step in 0..5 {
        let (outputs, loss) = pass(&Ctx::train(Seed::new(0), step));
        let store = backward(&loss).unwrap();
        let grads = collect(&store, &params.trainable());
        if step == 0 {
            golden.same("output/", outputs, tolerance);
            golden.same("loss", [(String::new(), loss)], tolerance);
            golden.same("grad/", grads.clone().into_iter().chain(collect(&store, &inputs)), tolerance);
            golden.same("stepped/", tensors(params.buffers()), tolerance);
        }
        optimizer.step(&grads, lr, 1.0).unwrap();
    }
    golden.same("after/", tensors(params.all()), tolerance);
    golden.same("evaluated/", pass(&Ctx::eval()).0, tolerance);
}

fn tensors(vars: BTreeMap<String, Var>) -> Named {
    vars.into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect()
}

/// An empty store; the golden's values are loaded into its parameters.
pub fn params(dtype: DType) -> Params {
    Params::new(Seed::new(0), dtype, gradcheck::device())
}
