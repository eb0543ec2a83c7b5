//! Gradients in single precision.

/// `value` in single precision; beyond the range of `f32`, the largest number in it.
pub(crate) fn narrow(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

/// `sum_i w_i b_i`.
pub(crate) fn mixed(rows: &[&[f64]], weights: &[f64]) -> Vec<f32> {
    let columns = rows.first().map_or(0, |row| row.len());
    (0..columns)
        .map(|column| narrow(rows.iter().zip(weights).map(|(row, weight)| row[column] * weight).sum()))
        .collect()
}
