//! Differences between the rows of two inventories.

use std::collections::HashMap;
use std::fmt;

use crate::facts::RowFacts;

/// Rows of one kind of difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Different {
    /// How many.
    pub count: usize,
    /// Name of the first one.
    pub first: String,
}

impl Different {
    fn add(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
    }
}

/// How the rows of a data set differ from those of an earlier time. `Display` writes the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Rows that are no longer there.
    pub missing: Different,
    /// Rows that were not there.
    pub new: Different,
    /// Rows with the same name and another image.
    pub changed: Different,
    /// Rows with the same image and other labels.
    pub relabelled: Different,
    /// Rows whose image had another name.
    pub renamed: Different,
}

type Rows<'a> = (&'a [String], &'a [RowFacts]);

impl Differences {
    pub(crate) fn between(before: Rows<'_>, now: Rows<'_>) -> Option<Self> {
        if before.0.is_empty() {
            return None;
        }
        let mut found = Self::default();
        let index = |rows: Rows<'_>| rows.0.iter().cloned().zip(0..).collect::<HashMap<String, usize>>();
        let (old, current) = (index(before), index(now));
        // Images that are only under another name: how many of each hash are missing.
        let mut lost: HashMap<u64, usize> = HashMap::new();
        for (name, row) in before.0.iter().zip(before.1) {
            match current.get(name).and_then(|&at| now.1.get(at)) {
                None => {
                    found.missing.add(name);
                    row.content.into_iter().for_each(|hash| *lost.entry(hash).or_default() += 1);
                }
                Some(row_now) if matches!((row.content, row_now.content), (Some(a), Some(b)) if a != b) => {
                    found.changed.add(name);
                }
                Some(row_now) if row.labels != row_now.labels => found.relabelled.add(name),
                Some(_) => {}
            }
        }
        for (name, row) in now.0.iter().zip(now.1).filter(|(name, _)| !old.contains_key(*name)) {
            match row.content.and_then(|hash| lost.get_mut(&hash)).filter(|count| **count > 0) {
                Some(count) => {
                    *count -= 1;
                    found.missing.count -= 1;
                    found.renamed.add(name);
                }
                None => found.new.add(name),
            }
        }
        (found != Self::default()).then_some(found)
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |rows: &Different, one: &str, several: &str| match rows.count {
            0 => None,
            1 => Some(format!("1 row {one} ({})", rows.first)),
            count => Some(format!("{count} rows {several} (such as {})", rows.first)),
        };
        let parts = [
            words(&self.missing, "is missing", "are missing"),
            words(&self.new, "is new", "are new"),
            words(&self.changed, "has another image", "have another image"),
            words(&self.renamed, "has another name", "have another name"),
            words(&self.relabelled, "has other labels", "have other labels"),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
