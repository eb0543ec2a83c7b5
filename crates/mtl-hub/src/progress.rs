//! [`Progress`]: events of a download, for progress bars and log lines.

use std::path::Path;
use std::time::Duration;

use crate::Error;

/// One event of a download. `Display` is one line of words.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Part of a file arrived; several hundred events per second on a fast line.
    Received {
        /// Name of the file.
        file: &'a str,
        /// Bytes on disk, those of earlier connections included.
        bytes: u64,
        /// Bytes of the whole file.
        total_bytes: u64,
    },
    /// A connection failed; another attempt follows after a pause.
    Retry {
        /// Name of the file.
        file: &'a str,
        /// Why the connection failed.
        error: &'a Error,
        /// Time until the next attempt.
        pause: Duration,
    },
    /// The manifest has no SHA-256 for this file: the one found is recorded.
    UnknownChecksum {
        /// Name of the file.
        file: &'a str,
        /// Its SHA-256.
        sha256: &'a str,
    },
    /// An archive is about to be unpacked.
    Unpacking {
        /// The archive.
        archive: &'a Path,
    },
}

impl std::fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Received { file, bytes, total_bytes } => {
                let percent = 100.0 * *bytes as f64 / (*total_bytes).max(1) as f64;
                write!(f, "{file}: {percent:.0} % of {}", mebibytes(*total_bytes))
            }
            Self::Retry { error, pause, .. } => write!(f, "{error}; next attempt in {pause:?}"),
            Self::UnknownChecksum { file, sha256 } => {
                write!(f, "{file}: its SHA-256 is not known; recording {sha256}")
            }
            Self::Unpacking { archive } => {
                write!(f, "unpacking {}", archive.file_name().unwrap_or_default().to_string_lossy())
            }
        }
    }
}

/// A number of bytes as text: `9.5 MiB`.
///
/// ```
/// assert_eq!(mtl_hub::mebibytes(9_912_422), "9.5 MiB");
/// ```
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
