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

    /// The part of a file's path without extension that names its image: without the text around the first and the last wildcard of
    /// the name, so that `a/x` is it for `a/x_L.png` and `**/*_L.png`.
    pub(super) fn without_affixes<'a>(&self, path: &'a str) -> std::borrow::Cow<'a, str> {
        let wild = ['*', '?', '['];
        let last = self.0.as_str().rsplit('/').next().unwrap_or_default();
        let (Some(first), Some(end)) = (last.find(wild), last.rfind(['*', '?', ']'])) else { return path.into() };
        let (prefix, suffix) = (&last[..first], &last[end + 1..]);
        let suffix = suffix.rsplit_once('.').map_or(suffix, |(suffix, _)| suffix);
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        match name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix)) {
            Some(bare) if !bare.is_empty() && folder.is_empty() => bare.into(),
            Some(bare) if !bare.is_empty() => format!("{folder}/{bare}").into(),
            _ => path.into(),
        }
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
        for (pattern, path, bare) in [
            ("**/*_L.png", "a/x_L", "a/x"),
            ("masks/mask_*.png", "mask_7", "7"),
            ("*.png", "x_L", "x_L"),
            ("x.png", "x", "x"),
            ("**", "a/x", "a/x"),
            ("*_[mM].png", "x_m", "x_m"),
        ] {
            assert_eq!(of(pattern).without_affixes(path), bare, "{pattern}");
        }
        assert_eq!((of("*.png").fixed(), of("a/x.png").fixed()), (PathBuf::new(), PathBuf::from("a")));
    }
}
