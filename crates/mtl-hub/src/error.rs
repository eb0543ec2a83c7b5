//! [`Error`]: why a data set could not be downloaded, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use mtl_registry::UnknownName;

/// Why a data set could not be listed, downloaded or unpacked.
///
/// Every message names the URL or the file, and the next step where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No manifest has this name.
    #[error(transparent)]
    UnknownDataset(#[from] UnknownName),
    /// A manifest that cannot be used.
    #[error("data/{name}.toml: {reason}")]
    Manifest {
        /// The data set.
        name: String,
        /// The fault, in words.
        reason: String,
    },
    /// The data set has no file that a program can download.
    #[error("{name} must be downloaded by hand.\n{instructions}")]
    Manual {
        /// The data set.
        name: String,
        /// Steps for the user.
        instructions: String,
    },
    /// The server answered with an HTTP error.
    #[error("{url}: the server answers with HTTP status {status}{}", status_words(*.status))]
    Status {
        /// Address of the file.
        url: String,
        /// HTTP status code, 400 to 599.
        status: u16,
    },
    /// No connection, or a broken one.
    #[error("{url}: {reason}")]
    Connection {
        /// Address of the file.
        url: String,
        /// The fault, in words.
        reason: String,
    },
    /// The connection ended early.
    #[error("{url}: the connection ended after {received_bytes} of {expected_bytes} bytes")]
    Truncated {
        /// Address of the file.
        url: String,
        /// Bytes of the file on disk so far.
        received_bytes: u64,
        /// Bytes of the whole file.
        expected_bytes: u64,
    },
    /// The server announces or sends a file of another length.
    #[error(
        "{url}: the server sends {found_bytes} bytes, the manifest says {expected_bytes}: the file was replaced, or the \
         address leads elsewhere"
    )]
    WrongLength {
        /// Address of the file.
        url: String,
        /// Bytes announced or received.
        found_bytes: u64,
        /// Bytes according to the manifest.
        expected_bytes: u64,
    },
    /// A download that failed several times in a row. What was received is kept.
    #[error(
        "cannot download {cause} ({attempts} attempts; {received_bytes} of {expected_bytes} bytes are kept): run the same \
         command again to continue"
    )]
    Incomplete {
        /// Connections tried in a row.
        attempts: u32,
        /// Bytes of the file on disk.
        received_bytes: u64,
        /// Bytes of the whole file.
        expected_bytes: u64,
        /// Why the last attempt failed.
        cause: Box<Error>,
    },
    /// A downloaded file has another length than its manifest says. The file is removed.
    #[error(
        "{} has {found_bytes} bytes, not {expected_bytes}: it is another file and was removed; run the same command again",
        .path.display()
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found_bytes: u64,
        /// Bytes according to the manifest.
        expected_bytes: u64,
    },
    /// A downloaded file has another SHA-256 than its manifest says. The file is removed.
    #[error(
        "{} has SHA-256 {found}, not {expected}: it is another file, or damaged, and was removed; run the same command \
         again, and compare with the data set's page if this repeats",
        .path.display()
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// Its SHA-256, in lower-case hexadecimal.
        found: String,
        /// SHA-256 according to the manifest.
        expected: String,
    },
    /// An archive with an entry that could write outside of its folder.
    #[error("{}: `{entry}` {reason}: refused, nothing is unpacked", .archive.display())]
    UnsafeEntry {
        /// The archive.
        archive: PathBuf,
        /// Name of the entry.
        entry: String,
        /// The fault, in words.
        reason: String,
    },
    /// An archive that unpacks to more than its manifest allows.
    #[error(
        "{}: unpacks to more than {limit} {unit}: refused; if this is right, raise the limit in the manifest \
         (`max_unpacked_bytes`)",
        .archive.display()
    )]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// The largest allowed number.
        limit: u64,
        /// `bytes` or `files`.
        unit: &'static str,
    },
    /// An archive that cannot be read to its end.
    #[error("{}: the archive is damaged ({reason}); fetch it again", .archive.display())]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// The fault, in words.
        reason: String,
    },
    /// Another process downloads the same data set.
    #[error("another process is downloading {name}: wait for it ({} is locked)", .lock.display())]
    Busy {
        /// The data set.
        name: String,
        /// The locked file.
        lock: PathBuf,
    },
    /// The Hugging Face Hub, or its client, failed (feature `hub`).
    #[error("{dataset} on the Hugging Face Hub: {reason}")]
    Hub {
        /// OWNER/NAME.
        dataset: String,
        /// The fault, in words.
        reason: String,
    },
    /// A file or folder on this machine.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// A verb: `read`, `create`, `write` ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Builds [`Error::Io`]; for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether another attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Truncated { .. } => true,
            // Timeout of the request, range not satisfiable (starts over), too many requests, faults of the server.
            Self::Status { status, .. } => matches!(status, 408 | 416 | 429 | 500..),
            _ => false,
        }
    }
}

fn status_words(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it wants a login or refuses this address; download the file by hand from the data set's page",
        404 | 410 => ": the file is gone; look at the data set's page for its new address",
        416 => ": it has no such range; the download starts over",
        429 => ": too many requests; try again later",
        500.. => ": a fault of the server; try again later",
        _ => "",
    }
}
