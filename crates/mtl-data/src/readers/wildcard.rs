//! Patterns of paths, as shells have them.

use std::path::PathBuf;

use glob::{MatchOptions, Pattern};

use crate::error::Error;

/// A pattern such as `scans/**/*.tif`: `*` stays in one folder, `**` does not.
#[derive(Clone, Debug)]
pub(super) struct Wildcard(Pattern);

const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl Wildcard {
    /// A pattern, or the error that names its key.
    pub(super) fn new(key: &'static str, text: &str) -> Result<Self, Error> {
        Pattern::new(text.trim_start_matches("./").trim_end_matches('/')).map(Self).map_err(|error| Error::Option {
            key,
            value: text.to_owned(),
            reason: format!("no pattern of paths such as \"scans/**/*.png\" ({error})"),
        })
    }

    /// Whether a relative path with forward slashes matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.matches_with(path, MATCHING)
    }

    /// Whether a path or a folder that it lies in matches.
    pub(super) fn covers(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| self.matches(&path[..end]))
    }

    /// The folders before the first wildcard.
    pub(super) fn fixed(&self) -> PathBuf {
        let parts: Vec<&str> = self.0.as_str().split('/').collect();
        let folders = &parts[..parts.len().saturating_sub(1)];
        folders.iter().take_while(|part| !part.contains(['*', '?', '['])).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let of = |text: &str| Wildcard::new("images", text).unwrap();
        let scans = of("scans/**/*.tif");
        assert!(scans.matches("scans/a/b/1.tif") && scans.matches("scans/1.tif"));
        assert!(!of("scans/*.tif").matches("scans/a/1.tif") && of("./x?.png").matches("x1.png"));
        assert!(of("old").covers("old/a/1.png") && of("**/thumbs/").covers("a/thumbs/1.png"));
        assert!(!of("old").covers("older/1.png"));
        assert!(Wildcard::new("images", "a/[b").unwrap_err().to_string().contains("images = a/[b"));
        assert_eq!(of("a/b/*/x.png").fixed(), Path::new("a/b"));
        assert_eq!((of("*.png").fixed(), of("a/x.png").fixed()), (PathBuf::new(), PathBuf::from("a")));
    }
}
