//! Predictions from NaN or infinite values are errors that name the task, not class 0.

use mtl_heads::Error;
use mtl_tensor::{Ctx, DType, Tensor, gradcheck, to_f64};

use crate::variants::{build, features, variants};

#[test]
fn predictions_that_are_not_finite_are_errors_of_every_head() {
    for variant in variants().into_iter().filter(|variant| variant.name.ends_with("default")) {
        let (_, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", 2, DType::F32), &Ctx::eval()).unwrap();
        let probabilities = head.probabilities(&logits).unwrap();
        head.predict(&probabilities).unwrap();
        let values = to_f64(&probabilities).unwrap();
        for at in [0, values.len() / 2, values.len() - 1] {
            for wrong in [f64::NAN, f64::INFINITY] {
                let mut values = values.clone();
                values[at] = wrong;
                let wrong = Tensor::from_vec(values, probabilities.shape(), gradcheck::device()).unwrap();
                for dtype in [DType::F32, DType::F64] {
                    let error = head.predict(&wrong.to_dtype(dtype).unwrap()).unwrap_err();
                    assert!(matches!(&error, Error::NonFinite { task } if task == "leaf"), "{}: {error}", variant.name);
                }
            }
        }
    }
}

#[test]
fn logits_of_nan_give_no_prediction() {
    for variant in variants().into_iter().filter(|variant| variant.name.ends_with("default")) {
        let (_, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", 2, DType::F32), &Ctx::eval()).unwrap();
        let nan = (logits * f64::NAN).unwrap();
        let error = head.predict(&head.probabilities(&nan).unwrap()).unwrap_err();
        assert!(matches!(error, Error::NonFinite { .. }), "{}: {error}", variant.name);
    }
}
