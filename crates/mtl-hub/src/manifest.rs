//! Manifests: `data/NAME.toml` describes one public data set and its files.

use mtl_registry::UnknownName;
use serde::Deserialize;

use crate::Error;

/// Name and text of each manifest. A new data set is one file in `data/` and one line here.
const MANIFESTS: &[(&str, &str)] = &[
    ("busi", include_str!("../../../data/busi.toml")),
    ("cifar10", include_str!("../../../data/cifar10.toml")),
    ("coffee-leaf", include_str!("../../../data/coffee-leaf.toml")),
    ("fashion-mnist", include_str!("../../../data/fashion-mnist.toml")),
    ("mnist", include_str!("../../../data/mnist.toml")),
    ("oxford-iiit-pet", include_str!("../../../data/oxford-iiit-pet.toml")),
];

/// A public data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the manifest's file; also of the folder that is made. Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// One line: images, labels.
    pub what: String,
    /// The reader of `mtl list readers` for the unpacked folder.
    pub reader: String,
    /// The licence, or what is known of it.
    pub licence: String,
    /// Authors, title, place, year.
    pub citation: String,
    /// The data set's web page.
    pub page: String,
    /// Steps for the user where no program can download the files.
    pub by_hand: Option<String>,
    /// Leading folders to drop from the names in an archive that was downloaded by hand. Default 0.
    #[serde(default)]
    pub strip: usize,
    /// Largest allowed size of everything unpacked, in bytes (of a tar file: its own size, headers included). Protects
    /// the disk from archives that expand without end.
    pub max_unpacked_bytes: u64,
    /// Files to download.
    #[serde(default)]
    pub file: Vec<File>,
}

/// One file of a data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Address, `http://` or `https://`.
    pub url: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256 in lower-case hexadecimal. Without it only the length is compared.
    pub sha256: Option<String>,
    /// Leading folders to drop from the names in the archive. Default 0.
    #[serde(default)]
    pub strip: usize,
}

/// All data sets with a manifest, sorted by name.
///
/// # Errors
/// [`Error::Manifest`]; never for the manifests of this crate (a test).
pub fn datasets() -> Result<Vec<Manifest>, Error> {
    MANIFESTS.iter().map(|(name, text)| Manifest::parse(name, text)).collect()
}

/// The data set called `name`.
///
/// # Errors
/// [`Error::UnknownDataset`] with the nearest name and all names.
pub fn dataset(name: &str) -> Result<Manifest, Error> {
    match MANIFESTS.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Manifest::parse(name, text),
        None => Err(UnknownName::new("data set", name, MANIFESTS.iter().map(|(name, _)| *name)).into()),
    }
}

impl Manifest {
    /// Reads and checks the text of `NAME.toml`.
    ///
    /// # Errors
    /// [`Error::Manifest`] for unknown or missing keys, a `name` that differs from the file's, neither files nor
    /// `by_hand`, an address without a file name, a malformed SHA-256.
    ///
    /// ```
    /// let manifest = mtl_hub::Manifest::parse(
    ///     "digits",
    ///     "
    ///     name = 'digits'
    ///     what = '10 digits'
    ///     reader = 'idx'
    ///     licence = 'CC0 1.0'
    ///     citation = 'nobody (2026)'
    ///     page = 'https://example.org'
    ///     max_unpacked_bytes = 100
    ///     [[file]]
    ///     url = 'https://example.org/digits.gz'
    ///     size_bytes = 42
    ///     ",
    /// )?;
    /// assert_eq!((manifest.file[0].name()?, manifest.size_bytes()), ("digits.gz", 42));
    /// # Ok::<(), mtl_hub::Error>(())
    /// ```
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let fail = |reason: String| Error::Manifest { name: name.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
        if manifest.name != name {
            return Err(fail(format!("its `name` is {}, which is not the file's name", manifest.name)));
        }
        if name.is_empty() || !name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
            return Err(fail("a name has only lower-case letters, digits, `-` and `_`".into()));
        }
        if manifest.file.is_empty() && manifest.by_hand.is_none() {
            return Err(fail("it has neither files nor `by_hand`".into()));
        }
        for (index, file) in manifest.file.iter().enumerate() {
            let own = file.name().map_err(|error| fail(error.to_string()))?;
            if manifest.file[..index].iter().any(|other| other.name().is_ok_and(|other| other == own)) {
                return Err(fail(format!("two files are called {own}")));
            }
            if let Some(hash) = &file.sha256
                && !(hash.len() == 64 && hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
            {
                return Err(fail(format!("{}: sha256 is not 64 lower-case hexadecimal digits", file.url)));
            }
        }
        Ok(manifest)
    }

    /// Bytes to download, all files together; 0 where the files are downloaded by hand.
    pub fn size_bytes(&self) -> u64 {
        self.file.iter().map(|file| file.size_bytes).sum()
    }
}

/// Name, contents, licence, citation and page, one per line.
impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, what, licence, citation, page, .. } = self;
        write!(f, "{name}: {what}\n  licence   {licence}\n  citation  {citation}\n  page      {page}")
    }
}

impl File {
    /// The last part of the address; also the name on disk.
    ///
    /// # Errors
    /// [`Error::Connection`] if the address is none of HTTP, or has no plain file name at its end.
    pub fn name(&self) -> Result<&str, Error> {
        let http = self.url.starts_with("http://") || self.url.starts_with("https://");
        match self.url.rsplit_once('/') {
            Some((_, name))
                if http && !name.is_empty() && !name.starts_with('.') && !name.contains(['?', '#', '\\']) =>
            {
                Ok(name)
            }
            _ => Err(Error::Connection {
                url: self.url.clone(),
                reason: "the address must begin with http:// or https:// and end in a file's name".into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_that_ships_is_sound() {
        let manifests = datasets().unwrap();
        assert!(manifests.iter().any(|manifest| manifest.name == "cifar10"));
        for manifest in &manifests {
            for file in &manifest.file {
                assert!(file.sha256.is_some(), "{}", manifest.name);
            }
            for text in [&manifest.what, &manifest.reader, &manifest.licence, &manifest.citation, &manifest.page] {
                assert!(!text.trim().is_empty(), "{}", manifest.name);
            }
        }
        assert!(manifests.is_sorted_by(|a, b| a.name < b.name), "the list is sorted");
    }

    #[test]
    fn every_manifest_in_the_folder_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
        let mut stems: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "toml"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        stems.sort();
        assert_eq!(stems, MANIFESTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = dataset("cifar-10").unwrap_err().to_string();
        assert!(error.contains("did you mean `cifar10`") && error.contains("fashion-mnist"), "{error}");
        assert_eq!(dataset("mnist").unwrap().file.len(), 4);
    }

    #[test]
    fn mistakes_are_found() {
        let good = "name='a'\nwhat='w'\nreader='idx'\nlicence='l'\ncitation='c'\npage='p'\nby_hand='h'\nmax_unpacked_bytes=1\n";
        assert_eq!(Manifest::parse("a", good).unwrap().name, "a");
        let file = |url: &str, rest: &str| format!("[[file]]\nurl='{url}'\nsize_bytes=1\n{rest}");
        for (wrong, words) in [
            (good.replace("'a'", "'b'"), "not the file's name"),
            (good.replace("by_hand='h'\n", ""), "neither files nor"),
            (good.replace("max_unpacked_bytes=1\n", ""), "max_unpacked_bytes"),
            (good.to_owned() + &file("http://x/", ""), "file's name"),
            (good.to_owned() + &file("ftp://x/y", ""), "http://"),
            (good.to_owned() + &file("http://x/..", ""), "file's name"),
            (good.to_owned() + &file("http://x/y", "sha256='12'\n"), "64 lower-case"),
            (good.to_owned() + &file("http://x/y", "") + &file("http://z/y", ""), "two files"),
            (good.to_owned() + "licens='x'\n", "licens"),
        ] {
            let error = Manifest::parse("a", &wrong).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a.toml"), "{error}");
        }
        assert!(Manifest::parse("../a", &good.replace("'a'", "'../a'")).is_err());
    }
}
