//! Cache of transformed kernels between calls. It serves single images, where the transform costs more than the convolution.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rayon::prelude::*;
use tracing::trace;

use crate::simd::{Loop, wide};

/// Most numbers cached per thread (64 MiB), some tens of layers of this project's networks. A kernel that would exceed it
/// clears the cache first.
const MOST: usize = 16 * 1024 * 1024;

/// Address and number of the weights, the transform, and the channels on both sides. The channels are part of the key because
/// the same numbers may be weights of another shape.
type Place = (usize, usize, u8, (usize, usize));

struct Entry {
    weights: Vec<f32>,
    transformed: Rc<Vec<f32>>,
}

impl Entry {
    fn numbers(&self) -> usize {
        self.weights.len() + self.transformed.len()
    }
}

thread_local! {
    static KEPT: RefCell<HashMap<Place, Rc<Entry>>> = RefCell::new(HashMap::new());
}

/// Weights compared per parallel task.
const BLOCK: usize = 16 * 1024;

/// Comparison bit for bit, without an early exit, so that it is vectorised.
struct Same;

impl Loop<(&[f32], &[f32])> for Same {
    type Output = bool;
    #[inline(always)]
    fn run((a, b): (&[f32], &[f32])) -> bool {
        a.iter().zip(b).fold(0, |found, (a, b)| found | (a.to_bits() ^ b.to_bits())) == 0
    }
}

/// `transform(w)`, from the cache if the weights at this address are unchanged. All weights are compared with a copy, so changed
/// weights, or others at the same address, are transformed again.
pub(super) fn kept(w: &[f32], way: u8, channels: (usize, usize), transform: impl FnOnce() -> Vec<f32>) -> Rc<Vec<f32>> {
    let place = (w.as_ptr() as usize, w.len(), way, channels);
    // Not borrowed during the comparison: a waiting thread may run another convolution, which enters here again.
    let known = KEPT.with_borrow(|all| all.get(&place).cloned());
    let same = |entry: &&Rc<Entry>| {
        entry.weights.par_chunks(BLOCK).zip(w.par_chunks(BLOCK)).all(|(a, b)| wide::<Same, _>((a, b)))
    };
    let hit = known.as_ref().filter(same).map(|entry| Rc::clone(&entry.transformed));
    trace!(weights = w.len(), hit = hit.is_some(), "kernel cache");
    hit.unwrap_or_else(|| {
        let entry = Rc::new(Entry { weights: w.to_vec(), transformed: Rc::new(transform()) });
        let transformed = Rc::clone(&entry.transformed);
        KEPT.with_borrow_mut(|all| {
            if all.values().map(|entry| entry.numbers()).sum::<usize>() + entry.numbers() > MOST {
                all.clear();
            }
            if entry.numbers() <= MOST {
                all.insert(place, entry);
            }
        });
        transformed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_weights_are_transformed_again() {
        let doubled = |w: &[f32]| w.iter().map(|v| 2.0 * v).collect::<Vec<f32>>();
        let mut w = vec![1.0, 2.0];
        assert_eq!(*kept(&w, 0, (1, 2), || doubled(&w)), [2.0, 4.0]);
        assert_eq!(*kept(&w, 0, (1, 2), || unreachable!()), [2.0, 4.0]);
        assert_eq!(*kept(&w, 1, (1, 2), || vec![7.0]), [7.0]);
        assert_eq!(*kept(&w, 0, (1, 1), || vec![5.0]), [5.0], "as weights of another shape");
        w[1] = -0.0;
        assert_eq!(*kept(&w, 0, (1, 2), || doubled(&w)), [2.0, -0.0]);
        for other in 2..8 {
            kept(&w, 0, (other, 2), || vec![0.0; MOST / 4]);
            assert!(KEPT.with_borrow(|all| all.values().map(|entry| entry.numbers()).sum::<usize>()) <= MOST);
        }
        assert!(kept(&w, 0, (9, 2), || vec![1.0; MOST]).len() == MOST, "too large to be kept, and right");
    }
}
