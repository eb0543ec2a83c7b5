//! Lists of named things: trunks, heads, generators, balancers, readers, presets.
//!
//! A registry is a `const` slice of [`Entry`] in the crate that owns the things, one line per thing. [`registry!`] makes the slice
//! together with the configuration enum that chooses one of its members. `mtl list` prints the slice, the conformance tests of the
//! trait iterate over it. An unknown name gives an [`UnknownName`], which lists the known names and suggests the nearest.
//! [`List`] is a registry that another crate can extend at run time.
//!
//! ```
//! use mtl_registry::{find, Entry};
//! const COLOURS: &[Entry<u32>] = &[
//!     Entry { name: "red", summary: "the colour of tomatoes", item: 0xff0000 },
//!     Entry { name: "green", summary: "the colour of grass", item: 0x00ff00 },
//! ];
//! assert_eq!(find("colour", COLOURS, "green").unwrap().item, 0x00ff00);
//! let error = find("colour", COLOURS, "gren").unwrap_err();
//! assert_eq!(error.to_string(), "unknown colour `gren`: did you mean `green`? (there are: red, green)");
//! ```

mod list;
mod members;

pub use list::{List, NameTaken};
pub use members::Member;

/// One registered thing: name, one line of description, item.
#[derive(Clone, Copy, Debug)]
pub struct Entry<T: 'static> {
    /// The name in configuration files and on the command line.
    pub name: &'static str,
    /// One line for `mtl list`.
    pub summary: &'static str,
    /// A [`Member`], or a constructor.
    pub item: T,
}

/// The registry of this kind has no entry with this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`{} (there are: {})", suggestion_words(.suggestion), .known.join(", "))]
pub struct UnknownName {
    /// Kind of the registry: "balancer", "preset" ...
    pub kind: &'static str,
    /// The name as typed.
    pub name: String,
    /// The nearest known name, if one is near.
    pub suggestion: Option<String>,
    /// All known names.
    pub known: Vec<String>,
}

impl UnknownName {
    /// The error for `name` among `known`.
    pub fn new<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        Self { kind, name: name.to_owned(), suggestion: nearest(name, known.iter().map(String::as_str)), known }
    }
}

fn suggestion_words(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or(String::new(), |name| format!(": did you mean `{name}`?"))
}

/// The entry called `name`.
///
/// # Errors
/// [`UnknownName`] with the nearest name as a suggestion.
pub fn find<'a, T>(kind: &'static str, entries: &'a [Entry<T>], name: &str) -> Result<&'a Entry<T>, UnknownName> {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| UnknownName::new(kind, name, entries.iter().map(|entry| entry.name)))
}

/// The candidate nearest to `name` by Damerau-Levenshtein distance, if at most a third of its letters differ
/// (two are always allowed) or one is a prefix of the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_lowercase();
            let prefix = lower.len() >= 2 && (other.starts_with(&lower) || lower.starts_with(&other));
            (if prefix { 1 } else { strsim::damerau_levenshtein(&lower, &other) }, candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count() / 3).max(2) && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_near_names_and_nothing_for_far_ones() {
        let names = ["pcgrad", "uncertainty", "dwa"];
        assert_eq!(nearest("pc-grad", names).as_deref(), Some("pcgrad"));
        assert_eq!(nearest("PCGard", names).as_deref(), Some("pcgrad"));
        assert_eq!(nearest("uncert", names).as_deref(), Some("uncertainty"));
        assert_eq!(nearest("banana", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
