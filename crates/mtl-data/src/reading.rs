//! How a data set was read: by which reader, what was guessed, what looks wrong, and which files were left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Files named per reason; the others are counted.
const NAMED: usize = 3;

/// How a data set was read. Nothing is dropped, merged, rescaled or turned into a class without an entry here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Name of the reader, one of [`crate::READERS`]; empty for data that is not read from files.
    pub reader: String,
    /// What was inferred from names and values, one sentence each.
    pub guesses: Vec<String>,
    /// What looks wrong although the data can be used, one sentence each.
    pub warnings: Vec<String>,
    /// Files that are not part of the data set, by reason.
    pub unread: BTreeMap<String, Unread>,
}

/// Files that were not read for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// How many.
    pub count: usize,
    /// The first few.
    pub first: Vec<PathBuf>,
}

impl Reading {
    /// Adds what was inferred.
    pub fn guess(&mut self, sentence: impl Into<String>) {
        self.guesses.push(sentence.into());
    }

    /// Adds what looks wrong.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    /// Counts a file that is not read.
    pub fn leave(&mut self, reason: &str, path: &Path) {
        let unread = self.unread.entry(reason.to_owned()).or_default();
        unread.count += 1;
        if unread.first.len() < NAMED {
            unread.first.push(path.to_owned());
        }
    }

    /// Adds the entries of a part of the data.
    pub fn extend(&mut self, part: Self) {
        self.guesses.extend(part.guesses);
        self.warnings.extend(part.warnings);
        for (reason, files) in part.unread {
            let unread = self.unread.entry(reason).or_default();
            unread.count += files.count;
            unread.first.extend(files.first);
            unread.first.truncate(NAMED);
        }
        for list in [&mut self.guesses, &mut self.warnings] {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|sentence| seen.insert(sentence.clone()));
        }
    }

    /// The entries of one of several sources, with its name in front of every sentence.
    #[must_use]
    pub fn of_source(self, name: &str) -> Self {
        let named = |list: Vec<String>| list.into_iter().map(|sentence| format!("{name}: {sentence}")).collect();
        let unread = self.unread.into_iter().map(|(reason, files)| (format!("{name}: {reason}"), files)).collect();
        Self { reader: self.reader, guesses: named(self.guesses), warnings: named(self.warnings), unread }
    }

    /// One line per entry, for the start of a run.
    pub fn lines(&self) -> Vec<String> {
        let Self { guesses, warnings, .. } = self;
        guesses.iter().chain(warnings).cloned().chain(self.left()).collect()
    }

    /// The lines without the warnings.
    pub fn notes(&self) -> Vec<String> {
        self.guesses.iter().cloned().chain(self.left()).collect()
    }

    /// One line per reason why files are not read.
    fn left(&self) -> impl Iterator<Item = String> {
        self.unread.iter().map(|(reason, files)| {
            let first = files.first.first().map(|path| path.display().to_string()).unwrap_or_default();
            match files.count {
                1 => format!("1 file is not read ({reason}): {first}"),
                count => format!("{count} files are not read ({reason}), such as {first}"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_reason_and_named_a_few_times() {
        let mut reading = Reading::default();
        (0..5).for_each(|at| reading.leave("thumbnails", &PathBuf::from(format!("{at}.db"))));
        let mut other = Reading::default();
        other.leave("thumbnails", Path::new("z.db"));
        other.warn("two classes differ in case only");
        reading.warn("two classes differ in case only");
        reading.extend(other);
        assert_eq!((reading.unread["thumbnails"].count, reading.unread["thumbnails"].first.len()), (6, NAMED));
        assert_eq!(
            reading.lines(),
            ["two classes differ in case only", "6 files are not read (thumbnails), such as 0.db"]
        );
        assert_eq!(reading.of_source("scans").lines()[0], "scans: two classes differ in case only");
    }
}
