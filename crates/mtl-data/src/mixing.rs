//! How often each source is seen: the rows of an epoch's batches, where the data has several
//! ([`Dataset::sources`](crate::Dataset::sources)).
//!
//! With `n_i` rows of source `i` on the loader's side, the share of source `i` in an epoch is
//!
//! | strategy | share `p_i` | a batch |
//! |---|---|---|
//! | `proportional` | `n_i / sum n` | any rows: all are shuffled as one, each comes once an epoch |
//! | `temperature` | `n_i^(1/t) / sum n^(1/t)` | any sources |
//! | `uniform` | `1 / sources` | any sources |
//! | `round_robin` | `1 / sources` | of one source; sources take turns |
//!
//! `temperature` is that of multilingual translation (Arivazhagan et al. 2019, arXiv 1907.05019): `t = 1` has the shares of
//! `proportional`, a large `t` those of `uniform`. A row of a small source is then seen more often than one of a large
//! source, which helps what only the small one teaches and wears its rows out sooner; nobody can say beforehand where that
//! pays.
//!
//! An epoch has as many batches as without any mixing. Shares are exact, not drawn: with `temperature` and `uniform`, of
//! the `m` rows of an epoch `m p_i` are of source `i`, made whole by largest remainders, and at least one; with
//! `round_robin` batch number `g`, counted from the beginning of training, is of source `g mod sources`. Each source is
//! walked through in random orders of its own, one after the other, and an epoch goes on where the one before it stopped:
//! row number `p = epoch * quota + k` of a source is in pass `p / n_i`. So no row of a source is seen more than once more
//! often than another, and batch `i` of epoch `e` is a function of seed, `e` and `i` alone: nothing is stored to resume. A
//! row that comes twice in an epoch comes in two views. (`proportional` starts anew each epoch, and where the last, smaller
//! batch is left out, so are other rows each time.)
//!
//! With one source there is nothing to mix: every strategy is the plain shuffle.
//!
//! Cost: once an epoch, 16 bytes a row and a shuffle of each source; nothing a batch.

mod walk;

use mtl_registry::Entry;
use serde::{Deserialize, Serialize};

pub(crate) use walk::{Draw, Mixer};

/// Which strategy; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mixing {
    /// Every row once an epoch. The default: it is what the data says, and costs no row its turn.
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

impl Default for Mixing {
    fn default() -> Self {
        Self::Proportional {}
    }
}

/// All strategies: name, one line, default settings.
pub const MIXINGS: &[Entry<fn() -> Mixing>] = &[
    Entry {
        name: "proportional",
        summary: "every row once an epoch, whatever source it is from (default)",
        item: || Mixing::Proportional {},
    },
    Entry {
        name: "temperature",
        summary: "shares go by rows^(1/t): t = 1 proportional, large t uniform; default t = 2",
        item: || Mixing::Temperature { t: default_t() },
    },
    Entry { name: "uniform", summary: "as many rows of each source", item: || Mixing::Uniform {} },
    Entry {
        name: "round_robin",
        summary: "each batch wholly of one source, the sources in turn",
        item: || Mixing::RoundRobin {},
    },
];

/// Sources that cannot be mixed as asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A temperature that is none.
    #[error("mixing.temperature.t = {t}: at least 1 (1 is proportional, the larger the nearer to uniform)")]
    Temperature {
        /// As given.
        t: f64,
    },
    /// Less than a row an epoch for each source.
    #[error(
        "an epoch of {slots} rows cannot hold one of each of {sources} sources: use larger batches, or another mixing \
         (proportional, round_robin)"
    )]
    TooFewRows {
        /// Rows of all batches of an epoch.
        slots: usize,
        /// Sources with rows.
        sources: usize,
    },
}

impl Mixing {
    /// As in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proportional {} => "proportional",
            Self::Temperature { .. } => "temperature",
            Self::Uniform {} => "uniform",
            Self::RoundRobin {} => "round_robin",
        }
    }

    /// Looks at every setting.
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
