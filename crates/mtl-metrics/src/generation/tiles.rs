//! Products of all rows of two matrices, tile by tile.
//!
//! The first matrix is divided into blocks of rows that run in parallel; each block passes over the second matrix in tiles.
//! A block's result depends on its own rows alone and results are returned in the order of the blocks, so sums over them are the
//! same bytes at any number of threads.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::features::Features;

/// Rows of a block.
pub(super) const ROWS: usize = 128;
/// Rows of the second matrix in a tile.
const COLUMNS: usize = 256;

/// Products of some rows of the first matrix with some of the second one.
pub(super) struct Tile<'a> {
    /// Rows of the first matrix.
    pub rows: Range<usize>,
    /// Rows of the second matrix.
    pub columns: Range<usize>,
    /// `[rows, columns]`, row-major.
    pub products: &'a [f64],
    /// Those rows, in double precision and centred.
    pub left: &'a [f64],
    /// Those rows, in double precision and centred.
    pub right: &'a [f64],
}

impl Tile<'_> {
    /// Row of the first matrix, row of the second one, product.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let width = self.columns.len();
        let place = move |at: usize| (self.rows.start + at / width, self.columns.start + at % width);
        self.products.iter().enumerate().map(move |(at, product)| (place(at).0, place(at).1, *product))
    }
}

/// Passes over all tiles: `visit(state, tile)`, with one state per block. `triangle`: leaves out the tiles of a symmetric product
/// that lie entirely below its diagonal. Returns the states in the order of the blocks.
///
/// Memory per thread: `(ROWS + COLUMNS) * width * 8` bytes, 6 MB at a width of 2,048.
pub(super) fn over_tiles<S: Send>(
    left: &Features<'_>,
    right: &Features<'_>,
    centre: &[f64],
    triangle: bool,
    start: impl Fn(Range<usize>) -> S + Sync,
    visit: impl Fn(&mut S, &Tile<'_>) + Sync,
) -> Vec<S> {
    let width = left.width();
    let blocks: Vec<usize> = (0..left.images()).step_by(ROWS).collect();
    let block = |&first: &usize| {
        let rows = first..(first + ROWS).min(left.images());
        let mut state = start(rows.clone());
        let mut own = vec![0.0; rows.len() * width];
        left.rows_into(first, centre, &mut own);
        let mut others = vec![0.0; COLUMNS.min(right.images()) * width];
        let mut products = vec![0.0; rows.len() * COLUMNS.min(right.images())];
        for from in (0..right.images()).step_by(COLUMNS) {
            let columns = from..(from + COLUMNS).min(right.images());
            if triangle && columns.end <= rows.start {
                continue;
            }
            let others = &mut others[..columns.len() * width];
            right.rows_into(from, centre, others);
            let products = &mut products[..rows.len() * columns.len()];
            matmul(
                MatMut::from_row_major_slice_mut(products, rows.len(), columns.len()),
                Accum::Replace,
                MatRef::from_row_major_slice(&own, rows.len(), width),
                MatRef::from_row_major_slice(others, columns.len(), width).transpose(),
                1.0,
                Par::Seq,
            );
            visit(&mut state, &Tile { rows: rows.clone(), columns, products, left: &own, right: others });
        }
        state
    };
    // One block per job: a row of blocks of a triangle is as long as the matrix at its top and short at its end.
    blocks.par_iter().with_max_len(1).map(block).collect()
}
