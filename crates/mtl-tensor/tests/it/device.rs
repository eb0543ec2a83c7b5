//! Order of the operations on a device.

use mtl_tensor::{DType, Tensor, gradcheck, to_f64};

/// A card computes after the call has returned. Another thread that uses the result must get the finished values.
#[test]
fn a_result_can_be_used_by_another_thread_at_once() {
    let device = gradcheck::device();
    let (side, products) = if device.is_cpu() { (16, 8) } else { (4096, 16) };
    let factor = Tensor::full(2.0 / side as f32, (side, side), device).unwrap();
    for _ in 0..3 {
        let mut y = Tensor::ones((side, side), DType::F32, device).unwrap();
        for _ in 0..products {
            y = y.matmul(&factor).unwrap();
        }
        let sum = std::thread::spawn(move || to_f64(&(&y + 1.0).unwrap().max_all().unwrap()).unwrap());
        assert_eq!(sum.join().unwrap(), [f64::from(1u32 << products) + 1.0]);
    }
}
