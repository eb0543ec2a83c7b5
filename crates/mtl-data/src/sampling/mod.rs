//! Sampling strategies: the rows of an epoch's batches, where the data is a concatenation of several sources
//! ([`Dataset::origins`](crate::Dataset::origins)).
//!
//! With `n_i` rows of source `i` among the loader's rows, the share of source `i` in an epoch is
//!
//! | strategy | share `p_i` | a batch |
//! |---|---|---|
//! | `proportional` | `n_i / sum n` | any rows: all are shuffled as one, each comes once per epoch |
//! | `temperature` | `n_i^(1/t) / sum n^(1/t)` | any sources |
//! | `uniform` | `1 / sources` | any sources |
//! | `round_robin` | `1 / sources` | of one source; sources take turns |
//!
//! `temperature` is that of multilingual translation (Arivazhagan et al. 2019, arXiv 1907.05019): `t = 1` has the shares of
//! `proportional`, a large `t` those of `uniform`. A row of a small source is then seen more often than one of a large
//! source, which helps tasks that only the small one labels and overfits its rows sooner; which effect is larger depends
//! on the data.
//!
//! The number of batches per epoch is the same for all strategies. Shares are exact, not drawn: with `temperature` and `uniform`, of
//! the `m` rows of an epoch `m p_i` are of source `i`, made whole by largest remainders, and at least one; with
//! `round_robin` batch number `g`, counted from the beginning of training, is of source `g mod sources`. Each source is
//! walked through in random orders of its own, one after the other, and an epoch continues where the previous one stopped:
//! row number `p = epoch * quota + k` of a source is in pass `p / n_i`. So no row of a source is seen more than once more
//! often than another, and batch `i` of epoch `e` is a function of seed, `e` and `i` alone: nothing is stored to resume. A
//! row that comes twice in an epoch comes in two views. (`proportional` starts again each epoch, and where the last, smaller
//! batch is left out, so are other rows each time.)
//!
//! With one source every strategy is the plain shuffle.
//!
//! Cost: per epoch 16 bytes per row and a shuffle of each source; none per batch.

mod walk;

use mtl_registry::Entry;
use serde::{Deserialize, Serialize};

pub(crate) use walk::{Mixer, SampledRow};

/// A sampling strategy; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// Every row once per epoch. The default.
    Proportional {},
    /// Between `proportional` and `uniform`.
    Temperature {
        /// At least 1. Default 2: shares go by the square root of the rows.
        #[serde(default = "default_t")]
        t: f64,
    },
    /// Each source as often as any other.
    Uniform {},
    /// Each batch of one source, in turn.
    RoundRobin {},
}

fn default_t() -> f64 {
    2.0
}

impl Default for Sampling {
    fn default() -> Self {
        Self::Proportional {}
    }
}

/// All strategies: name, one line, default settings.
pub const SAMPLERS: &[Entry<fn() -> Sampling>] = &[
    Entry { name: "proportional", summary: "every row once per epoch (default)", item: || Sampling::Proportional {} },
    Entry {
        name: "temperature",
        summary: "shares go by rows^(1/t): t = 1 proportional, large t uniform; default t = 2",
        item: || Sampling::Temperature { t: default_t() },
    },
    Entry { name: "uniform", summary: "as many rows of each source", item: || Sampling::Uniform {} },
    Entry {
        name: "round_robin",
        summary: "each batch wholly of one source, the sources in turn",
        item: || Sampling::RoundRobin {},
    },
];

/// Sources that cannot be sampled with this strategy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A temperature below 1 or not finite.
    #[error("temperature t = {t}: at least 1 (1 is proportional, the larger the nearer to uniform)")]
    Temperature {
        /// As given.
        t: f64,
    },
    /// Less than one row per epoch and source.
    #[error(
        "an epoch of {slots} rows cannot hold one of each of {sources} sources: use larger batches, or another sampling \
         (proportional, round_robin)"
    )]
    TooFewRows {
        /// Rows of all batches of one epoch.
        slots: usize,
        /// Sources with rows.
        sources: usize,
    },
}

impl Sampling {
    /// As in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proportional {} => "proportional",
            Self::Temperature { .. } => "temperature",
            Self::Uniform {} => "uniform",
            Self::RoundRobin {} => "round_robin",
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// A temperature below 1, or that is no number.
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Temperature { t } if !(t >= 1.0 && t.is_finite()) => Err(Error::Temperature { t }),
            _ => Ok(()),
        }
    }

    /// Each source's share of the rows that are seen, for sources of `rows` rows; they sum to 1, and one without rows has
    /// none.
    pub fn shares(&self, rows: &[usize]) -> Vec<f64> {
        let weight = |&rows: &usize| match (*self, rows as f64) {
            (_, 0.0) => 0.0,
            (Self::Proportional {}, rows) => rows,
            (Self::Temperature { t }, rows) => rows.powf(1.0 / t),
            (Self::Uniform {} | Self::RoundRobin {}, _) => 1.0,
        };
        let weights: Vec<f64> = rows.iter().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests;
