//! What the settings `data.open.regression` and `classification` make of columns.

use super::super::OpenOptions;
use crate::error::Error;
use crate::reading::Reading;

/// What a setting makes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Regression,
    Classification,
}

/// The choice of the settings for every column of labels, in the order of `names`. A name may hold `*`.
pub(super) fn choices(
    names: &[&str],
    options: &OpenOptions,
    reading: &mut Reading,
) -> Result<Vec<Option<Choice>>, Error> {
    let lists = [("regression", &options.regression), ("classification", &options.classification)];
    for (key, list) in lists {
        for pattern in list.iter().filter(|pattern| !names.iter().any(|name| matches(pattern, name))) {
            reading.warn(format!(
                "data.open.{key}: `{pattern}` is no column of labels (columns: {})",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ));
        }
    }
    let chosen = |name: &&str| {
        let [regression, classification] = lists.map(|(_, list)| list.iter().any(|pattern| matches(pattern, name)));
        match (regression, classification) {
            (true, true) => Err(Error::Option {
                key: "regression",
                value: (*name).to_owned(),
                reason: "a column that `classification` does not name too".into(),
            }),
            (true, false) => Ok(Some(Choice::Regression)),
            (false, true) => Ok(Some(Choice::Classification)),
            (false, false) => Ok(None),
        }
    };
    names.iter().map(chosen).collect()
}

/// Whether a name is the pattern, in which `*` stands for any characters.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let (Some(first), true) = (parts.next(), pattern != name) else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("age", "age", true),
            ("age", "age2", false),
            ("age [years]", "age [years]", true),
            ("yield_*", "yield_kg", true),
            ("*_kg", "yield_kg", true),
            ("*ield*k*", "yield_kg", true),
            ("*_g", "yield_kg", false),
            ("a*a", "a", false),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
