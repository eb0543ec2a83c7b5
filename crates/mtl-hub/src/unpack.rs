//! Archives to folders. No archive can write outside of its folder, or more than its manifest allows.
//!
//! Only plain files and folders are accepted. An absolute name, `..`, a link or a device refuses the whole archive.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::GzDecoder;

use crate::Error;

/// Most files of one data set; ImageNet has 1.4 million.
const MAX_FILES: u64 = 4_000_000;

/// Bytes and files that may still be unpacked, over all archives of a data set.
pub(crate) struct Budget {
    limit_bytes: u64,
    limit_files: u64,
    bytes: Cell<u64>,
    files: Cell<u64>,
    /// The limit that was exceeded, with its unit.
    exceeded: Cell<Option<(u64, &'static str)>>,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self::with_files(limit_bytes, MAX_FILES)
    }

    fn with_files(limit_bytes: u64, limit_files: u64) -> Self {
        let (bytes, files) = (Cell::new(limit_bytes), Cell::new(limit_files));
        Self { limit_bytes, limit_files, bytes, files, exceeded: Cell::new(None) }
    }

    fn spend_bytes(&self, count: u64) -> io::Result<()> {
        match self.bytes.get().checked_sub(count) {
            Some(rest) => self.bytes.set(rest),
            None => return Err(self.exceed(self.limit_bytes, "bytes")),
        }
        Ok(())
    }

    fn spend_file(&self) -> io::Result<()> {
        match self.files.get().checked_sub(1) {
            Some(rest) => self.files.set(rest),
            None => return Err(self.exceed(self.limit_files, "files")),
        }
        Ok(())
    }

    fn exceed(&self, limit: u64, unit: &'static str) -> io::Error {
        self.exceeded.set(Some((limit, unit)));
        io::Error::other("the limit is exceeded")
    }
}

/// Counts unpacked bytes, and fails when they are too many.
struct Metered<'a, R> {
    source: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.budget.spend_bytes(n as u64)?;
        Ok(n)
    }
}

/// All members of a gzip file, one after the other, as `gzip -d` reads them: parallel compressors write several.
/// Bytes after the last member are ignored.
struct Gunzip {
    member: Option<GzDecoder<BufReader<File>>>,
}

impl Gunzip {
    fn new(file: File) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(file))) }
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let Some(ended) = self.member.take() else { break };
            let mut rest = ended.into_inner();
            if rest.fill_buf()?.first() == Some(&0x1f) {
                self.member = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Unpacks `archive` (`.tar.gz`, `.tgz`, `.tar`, `.zip`, `.gz`; anything else is copied) into `dir`, dropping the first
/// `strip` folders of each name. Returns the number of files.
pub(crate) fn unpack(archive: &Path, dir: &Path, strip: usize, budget: &mut Budget) -> Result<usize, Error> {
    let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let file = File::open(archive).map_err(Error::io("read", archive))?;
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let target = Target { archive, dir, strip, budget };
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        target.tar(Gunzip::new(file))
    } else if name.ends_with(".tar") {
        target.tar(BufReader::new(file))
    } else if name.ends_with(".zip") {
        target.zip(BufReader::new(file))
    } else {
        match name.strip_suffix(".gz") {
            Some(inner) => target.write(&mut target.metered(Gunzip::new(file)), &dir.join(inner), None)?,
            None => target.write(&mut target.metered(file), &dir.join(name), None)?,
        }
        Ok(1)
    }
}

/// One archive on its way into a folder.
struct Target<'a> {
    archive: &'a Path,
    dir: &'a Path,
    strip: usize,
    budget: &'a Budget,
}

impl<'a> Target<'a> {
    fn metered<R: Read>(&self, source: R) -> Metered<'a, R> {
        Metered { source, budget: self.budget }
    }

    fn tar(&self, source: impl Read) -> Result<usize, Error> {
        let mut archive = tar::Archive::new(self.metered(source));
        let mut files = 0;
        for entry in archive.entries().map_err(|error| self.unreadable(&error))? {
            let mut entry = entry.map_err(|error| self.unreadable(&error))?;
            let name = entry.path().map_err(|error| self.unreadable(&error))?.into_owned();
            match entry.header().entry_type() {
                tar::EntryType::Directory => {
                    self.parts(&name)?;
                }
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let size = entry.size();
                    files += usize::from(self.place(&mut entry, &name, size)?);
                }
                // Describes the archive itself.
                tar::EntryType::XGlobalHeader => {}
                other => return Err(self.unsafe_entry(&name, &format!("is neither file nor folder ({other:?})"))),
            }
        }
        // Reading to the end compares gzip's checksum.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| self.unreadable(&error))?;
        Ok(files)
    }

    fn zip(&self, source: impl Read + Seek) -> Result<usize, Error> {
        let mut archive = zip::ZipArchive::new(source).map_err(|error| self.unreadable(&error))?;
        let mut files = 0;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|error| self.unreadable(&error))?;
            let name = PathBuf::from(&*entry.name().map_err(|error| self.unreadable(&error))?);
            // The file type of Unix modes: none, plain file or folder.
            if !matches!(entry.unix_mode().unwrap_or(0) & 0o170_000, 0 | 0o100_000 | 0o040_000) {
                return Err(self.unsafe_entry(&name, "is neither file nor folder"));
            }
            if entry.is_dir() {
                self.parts(&name)?;
            } else {
                let size = entry.size();
                files += usize::from(self.place(&mut self.metered(&mut entry), &name, size)?);
            }
        }
        Ok(files)
    }

    /// Writes one file of an archive; false if it is no part of the data.
    fn place(&self, source: &mut impl Read, name: &Path, size: u64) -> Result<bool, Error> {
        let parts = self.parts(name)?;
        let target: PathBuf = parts.iter().skip(self.strip).collect();
        // Written by macOS next to every file.
        let resource = |part: &str| part.starts_with("._") || part == "__MACOSX" || part == ".DS_Store";
        if target.as_os_str().is_empty() || parts.iter().any(|part| resource(part)) {
            return Ok(false);
        }
        self.write(source, &self.dir.join(target), Some(size))?;
        Ok(true)
    }

    /// The parts of a name that stays inside of the folder.
    fn parts(&self, name: &Path) -> Result<Vec<String>, Error> {
        let mut parts = Vec::new();
        for part in name.components() {
            match part {
                Component::Normal(part) if !part.to_string_lossy().contains('\\') => {
                    parts.push(part.to_string_lossy().into_owned())
                }
                Component::CurDir => {}
                _ => return Err(self.unsafe_entry(name, "leads out of the folder")),
            }
        }
        Ok(parts)
    }

    /// Writes a new file; `size` is what the archive announces.
    fn write(&self, source: &mut impl Read, target: &Path, size: Option<u64>) -> Result<(), Error> {
        self.budget.spend_file().map_err(|error| self.unreadable(&error))?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        // `create_new` follows no link and replaces nothing.
        let mut out = match File::create_new(target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.unreadable(&format!("{} is in it twice", target.display())));
            }
            result => result.map_err(Error::io("write", target))?,
        };
        let (mut buffer, mut written) = (vec![0; 1 << 16], 0);
        loop {
            let n = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(&error)),
            };
            out.write_all(&buffer[..n]).map_err(Error::io("write", target))?;
            written += n as u64;
        }
        if size.is_some_and(|size| size != written) {
            return Err(self.unreadable(&format!("it ends within {}", target.display())));
        }
        Ok(())
    }

    fn unsafe_entry(&self, name: &Path, reason: &str) -> Error {
        let (archive, entry) = (self.archive.to_owned(), name.display().to_string());
        Error::UnsafeEntry { archive, entry, reason: reason.to_owned() }
    }

    /// Too large, or damaged.
    fn unreadable(&self, reason: &dyn std::fmt::Display) -> Error {
        let archive = self.archive.to_owned();
        match self.budget.exceeded.get() {
            Some((limit, unit)) => Error::TooLarge { archive, limit, unit },
            None => Error::Damaged { archive, reason: reason.to_string() },
        }
    }
}

#[cfg(test)]
mod tests;
