//! The rows of an epoch, in batch order.

use std::collections::BTreeMap;

use mtl_rng::Seed;

use super::{Error, Sampling};

/// One row's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampledRow {
    /// Where the row stands in the loader's rows.
    pub position: usize,
    /// How often its source was gone through before: no two turns of a row have the same.
    pub pass: u64,
}

/// A strategy for certain rows and batches.
pub(crate) struct Mixer {
    mixing: Sampling,
    /// Number of each source that has rows, and the positions of these.
    sources: Vec<(u64, Vec<usize>)>,
    /// Rows of a whole batch, and of all batches of an epoch.
    batch: usize,
    slots: usize,
    /// Rows of each source per epoch; empty if rows are not chosen by quota.
    quotas: Vec<usize>,
}

impl Mixer {
    /// For rows of which the one at position `p` is of source `source[p]`, in epochs of `slots` rows and batches of
    /// `batch` (the last may be smaller).
    pub(crate) fn new(mixing: Sampling, source: &[usize], batch: usize, slots: usize) -> Result<Self, Error> {
        mixing.validate()?;
        let mut positions: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        source.iter().enumerate().for_each(|(at, &source)| positions.entry(source).or_default().push(at));
        let sources: Vec<(u64, Vec<usize>)> =
            positions.into_iter().map(|(source, positions)| (source as u64, positions)).collect();
        // One source needs no mixing.
        let mixing = if sources.len() < 2 { Sampling::Proportional {} } else { mixing };
        let quotas = match mixing {
            Sampling::Proportional {} | Sampling::RoundRobin {} => Vec::new(),
            Sampling::Temperature { .. } | Sampling::Uniform {} => {
                if slots < sources.len() {
                    return Err(Error::TooFewRows { slots, sources: sources.len() });
                }
                let rows: Vec<usize> = sources.iter().map(|(_, positions)| positions.len()).collect();
                quotas(&mixing.shares(&rows), slots)
            }
        };
        Ok(Self { mixing, sources, batch: batch.min(slots), slots, quotas })
    }

    /// The rows of `epoch`, batch after batch.
    pub(crate) fn epoch(&self, seed: Seed, epoch: u64) -> Vec<SampledRow> {
        match self.mixing {
            Sampling::Proportional {} => {
                let rows = self.sources.iter().map(|(_, positions)| positions.len()).sum();
                let order = seed.stream("shuffle", &[epoch]).permutation(rows);
                order.into_iter().map(|position| SampledRow { position, pass: epoch }).collect()
            }
            Sampling::RoundRobin {} => self.in_turn(seed, epoch),
            Sampling::Temperature { .. } | Sampling::Uniform {} => self.by_quota(seed, epoch),
        }
    }

    fn by_quota(&self, seed: Seed, epoch: u64) -> Vec<SampledRow> {
        let mut order: Vec<usize> =
            self.quotas.iter().enumerate().flat_map(|(at, &quota)| std::iter::repeat_n(at, quota)).collect();
        seed.stream("mixing", &[epoch]).shuffle(&mut order);
        let mut walks: Vec<std::vec::IntoIter<SampledRow>> = (0..self.quotas.len())
            .map(|at| {
                let quota = self.quotas[at];
                self.walk(seed, at, epoch.saturating_mul(quota as u64), quota).into_iter()
            })
            .collect();
        order.into_iter().filter_map(|at| walks[at].next()).collect()
    }

    fn in_turn(&self, seed: Seed, epoch: u64) -> Vec<SampledRow> {
        let (batches, sources) = (self.slots.div_ceil(self.batch), self.sources.len());
        let first = u128::from(epoch) * batches as u128;
        // A source's batches of one epoch are consecutive ones of its own walk.
        let mut walks: Vec<Option<std::vec::IntoIter<SampledRow>>> = (0..self.sources.len()).map(|_| None).collect();
        let mut order = Vec::with_capacity(self.slots);
        for number in (0..batches).map(|index| first + index as u128) {
            let at = (number % sources as u128) as usize;
            let turn = u64::try_from(number / sources as u128).unwrap_or(u64::MAX);
            let walk = walks[at].get_or_insert_with(|| {
                let most = batches.div_ceil(sources) * self.batch;
                self.walk(seed, at, turn.saturating_mul(self.batch as u64), most).into_iter()
            });
            order.extend(walk.take(self.batch));
        }
        order
    }

    /// `count` turns of a source's rows from number `start` on: random orders one after the other.
    fn walk(&self, seed: Seed, at: usize, start: u64, count: usize) -> Vec<SampledRow> {
        let (source, positions) = &self.sources[at];
        let rows = positions.len() as u64;
        let (mut pass, mut skip) = (start / rows, (start % rows) as usize);
        let mut turns = Vec::with_capacity(count);
        while turns.len() < count {
            let order = seed.stream("shuffle/source", &[*source, pass]).permutation(positions.len());
            let left = count - turns.len();
            turns
                .extend(order.into_iter().skip(skip).take(left).map(|at| SampledRow { position: positions[at], pass }));
            (pass, skip) = (pass.saturating_add(1), 0);
        }
        turns
    }
}

/// `slots` in whole numbers by `shares` (largest remainders; of equal ones the first), at least one each.
pub(super) fn quotas(shares: &[f64], slots: usize) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|share| share * slots as f64).collect();
    let mut quotas: Vec<usize> = exact.iter().map(|exact| (exact.floor() as usize).max(1)).collect();
    let lack = |quotas: &[usize], at: usize| exact[at] - quotas[at] as f64;
    loop {
        let given: usize = quotas.iter().sum();
        let by_lack = |&a: &usize, &b: &usize| lack(&quotas, a).total_cmp(&lack(&quotas, b));
        let chosen = match given.cmp(&slots) {
            std::cmp::Ordering::Equal => return quotas,
            std::cmp::Ordering::Less => (0..quotas.len()).rev().max_by(by_lack).map(|at| (at, quotas[at] + 1)),
            // Sources with less than one row get one, taken from the source furthest above its share.
            std::cmp::Ordering::Greater => {
                (0..quotas.len()).filter(|&at| quotas[at] > 1).min_by(by_lack).map(|at| (at, quotas[at] - 1))
            }
        };
        match chosen {
            Some((at, quota)) => quotas[at] = quota,
            None => return quotas,
        }
    }
}
