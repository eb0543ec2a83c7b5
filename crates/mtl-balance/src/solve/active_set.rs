//! The move of an active-set method.

/// Moves the active numbers to `best`, or as far towards it as none falls below zero. Numbers that reach zero (up to the rounding
/// error `zero`) leave the active set. Returns whether the move is complete: it reached `best`, or rounding kept a number that should
/// have left.
pub(super) fn towards(numbers: &mut [f64], active: &mut Vec<usize>, best: &[f64], zero: f64) -> bool {
    if best.iter().all(|&best| best > 0.0) {
        numbers.fill(0.0);
        active.iter().zip(best).for_each(|(&i, &best)| numbers[i] = best);
        return true;
    }
    let falling = active.iter().zip(best).filter(|(_, best)| **best <= 0.0);
    let step = falling.map(|(&i, best)| numbers[i] / (numbers[i] - best)).fold(1.0, f64::min);
    for (&i, &best) in active.iter().zip(best) {
        let moved = numbers[i] + step * (best - numbers[i]);
        numbers[i] = if best <= 0.0 && moved <= zero { 0.0 } else { moved.max(0.0) };
    }
    let before = active.len();
    active.retain(|&i| numbers[i] > 0.0);
    active.len() == before
}
