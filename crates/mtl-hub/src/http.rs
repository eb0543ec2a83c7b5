//! One file over HTTP: continued where it stopped, accepted only if size and SHA-256 agree.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::{debug, info};
use ureq::http::{Response, header};

use crate::manifest::File;
use crate::{Error, Progress};

/// Bytes that a connection must add before earlier failures are forgiven.
const FORGIVING_BYTES: u64 = 1 << 20;

/// Patience with servers. The defaults suit slow public servers.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// Longest time for a connection, name look-up and TLS included. Default 30 s.
    pub connect_timeout: Duration,
    /// Longest time until the first byte of an answer, and between two bytes after it. Default 60 s.
    pub idle_timeout: Duration,
    /// Connections tried in a row without a megabyte of progress. Default 5.
    pub attempts: u32,
    /// Pause after the first failure; doubles with each further one. Default 1 s.
    pub pause: Duration,
    /// Whether `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment are used. Default true.
    pub environment_proxy: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_secs(1),
            environment_proxy: true,
        }
    }
}

/// Downloads files with the same options.
pub(crate) struct Client {
    agent: ureq::Agent,
    options: HttpOptions,
}

impl Client {
    pub(crate) fn new(options: HttpOptions) -> Self {
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_recv_response(Some(options.idle_timeout));
        if !options.environment_proxy {
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), options }
    }

    /// Downloads `file` into `dir`, unless it is there already.
    ///
    /// An unfinished file is kept as `NAME.part` and continued by the next call. A finished one that is not what the
    /// manifest says is removed.
    pub(crate) fn fetch(
        &self,
        file: &File,
        dir: &Path,
        on_progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, Error> {
        let name = file.name()?;
        let whole = dir.join(name);
        if !whole.is_file() {
            fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
            let part = dir.join(format!("{name}.part"));
            self.complete(file, &part, on_progress)?;
            fs::rename(&part, &whole).map_err(Error::io("rename", &part))?;
        }
        match verify(file, &whole, on_progress) {
            Ok(()) => Ok(whole),
            Err(error) => {
                fs::remove_file(&whole).map_err(Error::io("remove", &whole))?;
                Err(error)
            }
        }
    }

    /// Connects until `part` is complete, or attempts bring no more bytes.
    fn complete(&self, file: &File, part: &Path, on_progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Error> {
        let length = || fs::metadata(part).map_or(0, |meta| meta.len());
        let attempts = self.options.attempts.max(1);
        let mut failures = 0;
        loop {
            let before = length();
            let error = match self.append(file, part, on_progress) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if length().saturating_sub(before) >= FORGIVING_BYTES {
                failures = 0;
            }
            failures += 1;
            if failures >= attempts {
                return Err(Error::Incomplete {
                    attempts,
                    received_bytes: length(),
                    expected_bytes: file.size_bytes,
                    cause: Box::new(error),
                });
            }
            let pause = self.options.pause * (1 << (failures - 1).min(6));
            info!(url = file.url, %error, failures, attempts, ?pause, "retry");
            on_progress(Progress::Retry { file: file.name()?, error: &error, pause });
            std::thread::sleep(pause);
        }
    }

    /// One connection: adds what is missing to `part`.
    fn append(&self, file: &File, part: &Path, on_progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Error> {
        let (url, total) = (&file.url, file.size_bytes);
        let mut have = fs::metadata(part).map_or(0, |meta| meta.len());
        if have > total {
            fs::remove_file(part).map_err(Error::io("remove", part))?;
            have = 0;
        } else if have == total && total > 0 {
            return Ok(());
        }
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        debug!(url, from_byte = have, bytes = total, "request");
        let mut response = match request.call() {
            Ok(response) => response,
            Err(ureq::Error::StatusCode(status)) => {
                if status == 416 {
                    fs::remove_file(part).map_err(Error::io("remove", part))?;
                }
                return Err(Error::Status { url: url.clone(), status });
            }
            Err(error) => return Err(self.connection(url, error)),
        };
        debug!(url, status = response.status().as_u16(), "response");
        if response.status() != 206 {
            // A server without ranges sends everything from the start.
            have = 0;
        } else if range_start(&response) != Some(have) {
            let reason = format!("the server sends another part of the file than the one from byte {have}");
            return Err(Error::Connection { url: url.clone(), reason });
        }
        let wrong_length = |found_bytes| Error::WrongLength { url: url.clone(), found_bytes, expected_bytes: total };
        if let Some(rest) = response.body().content_length()
            && have.saturating_add(rest) != total
        {
            return Err(wrong_length(have.saturating_add(rest)));
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(have > 0).truncate(have == 0);
        let mut out = options.open(part).map_err(Error::io("write", part))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(self.connection(url, error.into())),
            };
            if have + n as u64 > total {
                return Err(wrong_length(have + n as u64));
            }
            out.write_all(&buffer[..n]).map_err(Error::io("write", part))?;
            have += n as u64;
            on_progress(Progress::Received { file: file.name()?, bytes: have, total_bytes: total });
        }
        out.sync_all().map_err(Error::io("write", part))?;
        if have < total {
            return Err(Error::Truncated { url: url.clone(), received_bytes: have, expected_bytes: total });
        }
        Ok(())
    }

    /// The error of a failed connection, with its cause in words.
    fn connection(&self, url: &str, error: ureq::Error) -> Error {
        let reason = match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {:?}: the server or the network is down", self.options.connect_timeout)
            }
            ureq::Error::Timeout(_) => format!("the server sent nothing for {:?}", self.options.idle_timeout),
            ureq::Error::HostNotFound => "the host is unknown: check the address and the network".into(),
            ureq::Error::TooManyRedirects => "the server redirects without end".into(),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "the server refuses the connection: it is down, or blocked".into(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                    "the server broke the connection".into()
                }
                _ => format!("the connection failed: {error}"),
            },
            other => format!("the connection failed: {other}"),
        };
        Error::Connection { url: url.to_owned(), reason }
    }
}

/// First byte of a partial answer, from `Content-Range: bytes 6-10/11`.
fn range_start(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Checks size and SHA-256 of a finished file.
fn verify(file: &File, path: &Path, on_progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Error> {
    let found_bytes = fs::metadata(path).map_err(Error::io("read", path))?.len();
    if found_bytes != file.size_bytes {
        return Err(Error::WrongSize { path: path.to_owned(), found_bytes, expected_bytes: file.size_bytes });
    }
    let found = sha256(path)?;
    let recorded = path.with_file_name(format!("{}.sha256", file.name()?));
    let expected = match &file.sha256 {
        Some(hash) => hash.clone(),
        None if recorded.is_file() => {
            fs::read_to_string(&recorded).map_err(Error::io("read", &recorded))?.trim().to_owned()
        }
        None => {
            on_progress(Progress::UnknownChecksum { file: file.name()?, sha256: &found });
            return fs::write(&recorded, &found).map_err(Error::io("write", &recorded));
        }
    };
    if found != expected {
        return Err(Error::WrongChecksum { path: path.to_owned(), found, expected });
    }
    Ok(())
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`].
pub fn sha256(path: &Path) -> Result<String, Error> {
    let mut file = fs::File::open(path).map_err(Error::io("read", path))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests;
