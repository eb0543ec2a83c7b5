//! A list that grows at run time: the members compiled in, and those that another crate adds.

use crate::{Entry, UnknownName, find};

/// Entries of one kind with different names.
///
/// ```
/// use mtl_registry::{Entry, List};
/// const COLOURS: &[Entry<u32>] = &[Entry { name: "red", summary: "the colour of tomatoes", item: 0xff0000 }];
/// let mut colours = List::new("colour", COLOURS.to_vec())?;
/// colours.add(Entry { name: "sand", summary: "the colour of beaches", item: 0xc2b280 })?;
/// assert_eq!(colours.find("sand")?.item, 0xc2b280);
/// let error = colours.find("rad").unwrap_err();
/// assert_eq!(error.to_string(), "unknown colour `rad`: did you mean `red`? (there are: red, sand)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct List<T: 'static> {
    kind: &'static str,
    entries: Vec<Entry<T>>,
}

/// Two entries of one list have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two of kind {kind} are called `{name}`: rename one")]
pub struct NameTaken {
    /// Kind of the list: "balancer", "trunk" ...
    pub kind: &'static str,
    /// The name.
    pub name: &'static str,
}

impl<T> List<T> {
    /// A list of `kind` ("balancer", "trunk" ...) with these entries, in this order.
    ///
    /// # Errors
    /// Two entries have the same name.
    pub fn new(kind: &'static str, entries: impl IntoIterator<Item = Entry<T>>) -> Result<Self, NameTaken> {
        let mut list = Self { kind, entries: Vec::new() };
        entries.into_iter().try_for_each(|entry| list.add(entry))?;
        Ok(list)
    }

    /// Adds one entry at the end.
    ///
    /// # Errors
    /// The name is taken. The list is unchanged then.
    pub fn add(&mut self, entry: Entry<T>) -> Result<(), NameTaken> {
        if self.entries.iter().any(|other| other.name == entry.name) {
            return Err(NameTaken { kind: self.kind, name: entry.name });
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The entry called `name`.
    ///
    /// # Errors
    /// No entry has this name; the error suggests the nearest.
    pub fn find(&self, name: &str) -> Result<&Entry<T>, UnknownName> {
        find(self.kind, &self.entries, name)
    }

    /// All entries, in the order in which they were added.
    pub fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once() {
        let entry = |name, item| Entry { name, summary: "", item };
        let mut list = List::new("colour", [entry("red", 1), entry("green", 2)]).unwrap();
        assert_eq!(list.add(entry("red", 3)), Err(NameTaken { kind: "colour", name: "red" }));
        assert_eq!(list.add(entry("blue", 4)), Ok(()));
        let items: Vec<i32> = list.entries().iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 2, 4]);
        assert_eq!(List::new("colour", [entry("red", 1), entry("red", 2)]).unwrap_err().name, "red");
    }
}
