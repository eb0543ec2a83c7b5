//! Decoded samples kept between epochs, within a budget.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mtl_task::Target;
use tracing::debug;

use crate::dataset::Sample;

/// One slot per position. A slot is filled once, if the budget then allows, and never emptied.
pub(super) struct Cache {
    slots: Vec<OnceLock<Sample>>,
    used_bytes: AtomicUsize,
    budget_bytes: usize,
    /// Whether a sample did not fit; logged once.
    full: AtomicBool,
}

impl Cache {
    pub(super) fn new(positions: usize, budget_bytes: usize) -> Self {
        let slots = std::iter::repeat_with(OnceLock::new).take(positions).collect();
        Self { slots, used_bytes: AtomicUsize::new(0), budget_bytes, full: AtomicBool::new(false) }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// A copy of the cached sample at `position`, or else the result of `decode`, which is cached if the budget allows.
    pub(super) fn get_or_insert<E>(
        &self,
        position: usize,
        decode: impl FnOnce() -> Result<Sample, E>,
    ) -> Result<Sample, E> {
        let slot = &self.slots[position];
        if let Some(sample) = slot.get() {
            return Ok(sample.clone());
        }
        let sample = decode()?;
        let cost = bytes(&sample);
        let reserve = |used: usize| used.checked_add(cost).filter(|&sum| sum <= self.budget_bytes);
        let reserved = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_ok();
        // Two workers may decode the same row at the border of two epochs: the second gives its share back.
        if reserved && slot.set(sample.clone()).is_err() {
            self.used_bytes.fetch_sub(cost, Ordering::Relaxed);
        }
        if !reserved && !self.full.swap(true, Ordering::Relaxed) {
            let (used_bytes, budget_bytes, positions) = (self.used_bytes(), self.budget_bytes, self.slots.len());
            debug!(used_bytes, budget_bytes, positions, "cache full: further samples are decoded at every epoch");
        }
        Ok(sample)
    }
}

fn bytes(sample: &Sample) -> usize {
    let targets = sample.targets.iter().map(|target| {
        let pixels = match target {
            Target::Class(labels) => size_of_val(labels.as_slice()),
            Target::MultiLabel(values) | Target::Dense(values) | Target::Value(values) => {
                size_of_val(values.as_slice())
            }
            Target::Mask(pixels) => pixels.len(),
        };
        pixels + size_of::<Target>()
    });
    sample.image.len() + targets.sum::<usize>() + size_of::<Sample>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_that_fit() {
        let sample = |value: u8| Sample { image: vec![value; 100], targets: vec![Target::Mask(vec![value; 50])] };
        let cost = 150 + size_of::<Target>() + size_of::<Sample>();
        let cache = Cache::new(3, 2 * cost);
        for position in 0..3 {
            let first = cache.get_or_insert(position, || Ok::<_, ()>(sample(position as u8))).unwrap();
            assert_eq!(first, sample(position as u8));
        }
        assert_eq!(cache.used_bytes(), 2 * cost);
        assert_eq!(cache.get_or_insert(1, || Err(())), Ok(sample(1)));
        assert_eq!(cache.get_or_insert(2, || Err(())), Err(())); // there was no room for it
    }
}
