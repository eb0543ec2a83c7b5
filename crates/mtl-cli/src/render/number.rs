//! Numbers and durations as short text.

/// Six digits, as a power of ten where there are many zeros.
pub fn precise(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) { format!("{value:.5e}") } else { format!("{value:.6}") }
}

/// Three significant digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        x if x >= 100.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        x if x >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Seconds as text, such as `1 min 20 s`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(
            ["1234", "12.3", "1.23", "0.012"],
            [1234.0, 12.34, 1.234, 0.01234].map(short).each_ref().map(String::as_str)
        );
        assert_eq!(
            ["59 s", "1 min 0 s", "2 h 5 min"],
            [59.4, 59.6, 7500.0].map(duration).each_ref().map(String::as_str)
        );
    }
}
