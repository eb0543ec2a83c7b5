//! Files that are whole or absent: written under a temporary name, synced, renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// SHA-256 as hexadecimal text.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file so that it is either the old or the new one: temporary name, sync, rename, sync of the folder.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    write_synced(&temporary, bytes)?;
    fs::rename(&temporary, path).map_err(Error::io("cannot write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| {
        // A file truncated by a full disk would take space from the next attempt.
        let _ = fs::remove_file(path);
        Error::io_of(bytes.len(), path)(source)
    })
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("cannot sync", folder))
}
