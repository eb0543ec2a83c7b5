//! Units of measured numbers.

/// Units that end a column's name, as in `yield_kg`, in lower case.
const UNITS: [&str; 60] = [
    "kg", "g", "mg", "t", "lb", "lbs", "oz", "mm", "cm", "dm", "m", "km", "um", "nm", "in", "inch", "inches", "ft",
    "px", "pixels", "mm2", "cm2", "m2", "km2", "ha", "acre", "ml", "l", "ul", "m3", "s", "sec", "seconds", "min",
    "minutes", "h", "hours", "days", "weeks", "months", "years", "yr", "yrs", "ms", "hz", "khz", "mhz", "celsius",
    "kelvin", "deg", "degrees", "percent", "pct", "ppm", "pa", "kpa", "hpa", "bar", "db", "mol",
];
/// Whether a word is a unit: a known one, a composed one such as `t/ha`, `%` or a currency.
pub(super) fn is_unit(word: &str) -> bool {
    let composed = word.contains(['/', '%', '‰', '°', '²', '³', '^', 'µ', 'μ']) && word.chars().count() <= 8;
    UNITS.contains(&word.to_lowercase().as_str()) || composed || matches!(word, "$" | "€" | "£" | "¥")
}

/// The unit in a column's name: `age [years]`, `height (cm)`, `yield_kg`, `speed_km_h`; empty without one.
pub(super) fn unit_of(name: &str) -> String {
    let name = name.trim();
    let within = |open: char, close: char| {
        let (_, unit) = name.strip_suffix(close)?.rsplit_once(open)?;
        Some(unit.trim()).filter(|unit| !unit.is_empty() && !unit.starts_with(|c: char| c.is_ascii_digit()))
    };
    let known = |word: &str| UNITS.contains(&word.to_lowercase().as_str());
    if let Some(unit) = within('[', ']').or_else(|| within('(', ')').filter(|unit| is_unit(unit))) {
        return unit.to_owned();
    }
    let words: Vec<&str> = name.split(['_', ' ', '-', '.']).filter(|word| !word.is_empty()).collect();
    match words[..] {
        [_, .., over, under] if words.len() > 2 && known(over) && known(under) => format!("{over}/{under}"),
        [.., _, last] if known(last) => last.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_from_names() {
        for (name, unit) in [
            ("yield_kg", "kg"),
            ("age [years]", "years"),
            ("height (cm)", "cm"),
            ("speed_km_h", "km/h"),
            ("yield (t/ha)", "t/ha"),
            ("Weight-G", "G"),
            ("moisture (%)", "%"),
            ("score (0-10)", ""),
            ("intensity (mean)", ""),
            ("weight", ""),
            ("m", ""),
            ("vitamin_c", ""),
        ] {
            assert_eq!(unit_of(name), unit, "{name}");
        }
    }
}
