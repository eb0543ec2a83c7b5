//! Euclidean distances between rows, and nearest rows.

use super::features::Features;
use super::tiles::{Tile, over_tiles};

/// Below this share of the squared lengths a squared distance has lost digits in `|a|^2 + |b|^2 - 2 a.b`, and is computed from
/// the differences: copies have distance 0.
const CANCELLED: f64 = 1e-6;

/// A row and its squared distance. Ordered by distance, then by row, so that the nearest rows are defined in every order of
/// visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neighbour {
    pub row: usize,
    pub square: f64,
}

/// Mean of the rows of `points`: subtracted from all rows, so that distances keep their digits far from the origin.
pub(super) fn centre(points: &Features<'_>) -> Vec<f64> {
    points.mean()
}

/// Squared length of each row.
pub(super) fn squares(features: &Features<'_>, centre: &[f64]) -> Vec<f64> {
    let mut row = vec![0.0; features.width()];
    let of_row = |image| {
        features.rows_into(image, centre, &mut row);
        row.iter().map(|v| v * v).sum()
    };
    (0..features.images()).map(of_row).collect()
}

/// Calls `visit(i, j, squared distance)` for every pair of a tile.
pub(super) fn each_distance(
    tile: &Tile<'_>,
    (left, right): (&[f64], &[f64]),
    width: usize,
    mut visit: impl FnMut(usize, usize, f64),
) {
    for (i, j, product) in tile.pairs() {
        let lengths = left[i] + right[j];
        let mut square = lengths - 2.0 * product;
        if square < CANCELLED * lengths {
            let row = |rows: &[f64], at: usize| rows[at * width..][..width].to_vec();
            let (a, b) = (row(tile.left, i - tile.rows.start), row(tile.right, j - tile.columns.start));
            square = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
        }
        visit(i, j, square);
    }
}

/// The `k` nearest rows of `points` for each row of `queries`, nearest first. `same`: both are one set, and a row is not its own
/// neighbour.
pub(super) fn nearest(queries: &Features<'_>, points: &Features<'_>, k: usize, same: bool) -> Vec<Vec<Neighbour>> {
    let centre = centre(points);
    let lengths = (squares(queries, &centre), squares(points, &centre));
    let found = over_tiles(
        queries,
        points,
        &centre,
        false,
        |rows| vec![Nearest::default(); rows.len()],
        |found, tile| {
            each_distance(tile, (&lengths.0, &lengths.1), points.width(), |i, j, square| {
                if !same || i != j {
                    found[i - tile.rows.start].add(Neighbour { row: j, square }, k);
                }
            });
        },
    );
    found.into_iter().flatten().map(|nearest| nearest.0).collect()
}

/// Sorted neighbours, `k` at most.
#[derive(Clone, Debug, Default)]
struct Nearest(Vec<Neighbour>);

impl Nearest {
    fn add(&mut self, new: Neighbour, k: usize) {
        if self.0.len() == k && self.0.last().is_some_and(|last| new.square >= last.square) {
            return;
        }
        // Rows are visited in ascending order: of equal distances the first row stays first.
        let at = self.0.partition_point(|old| old.square <= new.square);
        self.0.insert(at, new);
        self.0.truncate(k);
    }
}

/// Squared distance of each row to its `k`-th nearest row in its own set.
pub(super) fn radii(features: &Features<'_>, k: usize) -> Vec<f64> {
    let last = |found: Vec<Neighbour>| found.last().map_or(0.0, |neighbour| neighbour.square);
    nearest(features, features, k, true).into_iter().map(last).collect()
}
