//! Transformed kernels that are kept from one call to the next, for batches so small that transforming would cost more
//! than convolving with them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Kernels a thread keeps at most; the networks of this project have fewer. All are dropped when there are more.
const MOST: usize = 64;

/// Where the weights lie, how many they are, and which transform of how many channels: enough to find them again.
type Place = (usize, usize, u8, usize);

struct Kept {
    weights: Vec<f32>,
    transformed: Rc<Vec<f32>>,
}

thread_local! {
    static KEPT: RefCell<HashMap<Place, Kept>> = RefCell::new(HashMap::new());
}

/// Bit for bit; without a way out in between, so that it is done in vectors.
fn is_same(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).fold(0, |found, (a, b)| found | (a.to_bits() ^ b.to_bits())) == 0
}

/// `transform(w)`, or what it gave before for the same numbers at the same place: they are compared, all of them, so weights
/// that have changed, or others in their place, are transformed anew.
pub(super) fn kept(w: &[f32], way: u8, channels: usize, transform: impl FnOnce() -> Vec<f32>) -> Rc<Vec<f32>> {
    let place = (w.as_ptr() as usize, w.len(), way, channels);
    let same = |kept: &Kept| kept.weights.chunks(64).zip(w.chunks(64)).all(|(a, b)| is_same(a, b));
    let found =
        KEPT.with_borrow(|all| all.get(&place).filter(|kept| same(kept)).map(|kept| Rc::clone(&kept.transformed)));
    found.unwrap_or_else(|| {
        let transformed = Rc::new(transform());
        KEPT.with_borrow_mut(|all| {
            if all.len() >= MOST {
                all.clear();
            }
            all.insert(place, Kept { weights: w.to_vec(), transformed: Rc::clone(&transformed) });
        });
        transformed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_weights_are_transformed_anew() {
        let doubled = |w: &[f32]| w.iter().map(|v| 2.0 * v).collect::<Vec<f32>>();
        let mut w = vec![1.0, 2.0];
        assert_eq!(*kept(&w, 0, 1, || doubled(&w)), [2.0, 4.0]);
        assert_eq!(*kept(&w, 0, 1, || unreachable!()), [2.0, 4.0]);
        assert_eq!(*kept(&w, 1, 1, || vec![7.0]), [7.0]);
        w[1] = -0.0;
        assert_eq!(*kept(&w, 0, 1, || doubled(&w)), [2.0, -0.0]);
        for other in 0..2 * MOST {
            kept(&w, 0, other, || doubled(&w));
        }
        assert!(KEPT.with_borrow(HashMap::len) <= MOST);
    }
}
