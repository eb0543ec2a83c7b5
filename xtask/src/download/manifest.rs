//! `data/NAME.toml`: what a data set is and where its files are.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// A public data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// As the file is called; also the folder it is put in.
    pub name: String,
    /// One line.
    pub what: String,
    /// The reader of `mtl list readers` that understands it.
    pub reader: String,
    /// The licence, or what is known of it.
    pub licence: String,
    /// Authors, title, place, year.
    pub citation: String,
    /// Where people read about it.
    pub page: String,
    /// What to do where no file can be fetched by a program.
    pub by_hand: Option<String>,
    /// Leading folders to drop from the names in an archive fetched by hand.
    #[serde(default)]
    pub strip: usize,
    /// What is fetched.
    #[serde(default)]
    pub file: Vec<File>,
}

/// One file of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it is.
    pub url: String,
    /// How long it is.
    pub size_bytes: u64,
    /// Its SHA-256 in hexadecimal; without, the one of the first download is recorded and held against later ones.
    pub sha256: Option<String>,
    /// Leading folders to drop from the names in an archive.
    #[serde(default)]
    pub strip: usize,
}

impl Manifest {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let manifest: Self = toml::from_str(&text)?;
        ensure!(
            path.file_stem().is_some_and(|stem| stem == manifest.name.as_str()),
            "it calls itself {}",
            manifest.name
        );
        ensure!(!manifest.file.is_empty() || manifest.by_hand.is_some(), "it has neither files nor `by_hand`");
        for file in &manifest.file {
            file.name()?;
            if let Some(hash) = &file.sha256 {
                let hexadecimal = hash.len() == 64 && hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
                ensure!(hexadecimal, "{}: sha256 is not 64 lower-case hexadecimal digits", file.url);
            }
        }
        Ok(manifest)
    }

    /// All manifests, by name.
    pub fn all(dir: &Path) -> anyhow::Result<Vec<Self>> {
        let mut manifests = Vec::new();
        for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "toml") {
                manifests.push(Self::read(&path).with_context(|| path.display().to_string())?);
            }
        }
        manifests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(manifests)
    }

    /// Bytes of all files.
    pub fn size_bytes(&self) -> u64 {
        self.file.iter().map(|file| file.size_bytes).sum()
    }
}

impl File {
    /// What it is called: the last part of its URL.
    pub fn name(&self) -> anyhow::Result<&str> {
        match self.url.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() && !name.starts_with('.') && !name.contains(['?', '#', '\\']) => {
                Ok(name)
            }
            _ => bail!("{} does not end in a file's name", self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_that_ships_is_sound() {
        let manifests = Manifest::all(&crate::root().join("data")).unwrap();
        assert!(manifests.iter().any(|manifest| manifest.name == "cifar10"));
        for manifest in &manifests {
            for file in &manifest.file {
                assert!(file.sha256.is_some(), "{}", manifest.name);
            }
            for text in [&manifest.what, &manifest.reader, &manifest.licence, &manifest.citation, &manifest.page] {
                assert!(!text.trim().is_empty(), "{}", manifest.name);
            }
        }
    }

    #[test]
    fn mistakes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        let good = "name='a'\nwhat='w'\nreader='idx'\nlicence='l'\ncitation='c'\npage='p'\nby_hand='h'\n";
        std::fs::write(&path, good).unwrap();
        assert_eq!(Manifest::all(dir.path()).unwrap()[0].name, "a");
        for wrong in [
            good.replace("'a'", "'b'"),
            good.replace("by_hand='h'\n", ""),
            format!("{good}[[file]]\nurl='http://x/'\nsize_bytes=1\n"),
            format!("{good}[[file]]\nurl='http://x/y'\nsize_bytes=1\nsha256='12'\n"),
            format!("{good}licens='x'\n"),
        ] {
            std::fs::write(&path, &wrong).unwrap();
            assert!(Manifest::all(dir.path()).is_err(), "{wrong}");
        }
    }
}
