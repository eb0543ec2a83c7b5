//! One file over HTTP: resumed where it stopped, and trusted only after size and SHA-256 agree.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::manifest::File;

/// Broken connections that are taken up again.
const ATTEMPTS: u32 = 5;

/// An agent as the environment asks for it (proxies), that gives up on a server that does not answer.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Fetches `file` into `dir`, unless it is there already.
///
/// A partial file is kept as `NAME.part` and continued by the next call.
pub fn fetch(agent: &ureq::Agent, file: &File, dir: &Path) -> anyhow::Result<PathBuf> {
    let name = file.name()?;
    let whole = dir.join(name);
    if !whole.is_file() {
        let part = dir.join(format!("{name}.part"));
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for attempt in 1.. {
            match append(agent, file, &part) {
                Ok(()) => break,
                Err(error) if attempt < ATTEMPTS => println!("{name}: {error:#}; trying again"),
                Err(error) => {
                    return Err(error.context(format!("{} could not be fetched; run this again to go on", file.url)));
                }
            }
        }
        fs::rename(&part, &whole)?;
    }
    if let Err(error) = verify(file, &whole) {
        fs::remove_file(&whole)?;
        return Err(error);
    }
    Ok(whole)
}

/// Adds what is still missing to `part`.
fn append(agent: &ureq::Agent, file: &File, part: &Path) -> anyhow::Result<()> {
    let mut have = fs::metadata(part).map_or(0, |meta| meta.len());
    if have == file.size_bytes {
        return Ok(());
    }
    if have > file.size_bytes {
        fs::remove_file(part)?;
        have = 0;
    }
    let mut request = agent.get(&file.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call()?;
    // A server that does not know ranges sends everything from the start.
    if response.status() != 206 {
        have = 0;
    }
    let mut out = OpenOptions::new().create(true).write(true).append(have > 0).truncate(have == 0).open(part)?;
    let mut body = response.body_mut().as_reader();
    let (mut buffer, mut told) = (vec![0; 1 << 16], Instant::now());
    loop {
        let n = body.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        have += n as u64;
        ensure!(have <= file.size_bytes, "the server sends more than the {} bytes expected", file.size_bytes);
        out.write_all(&buffer[..n])?;
        if told.elapsed() >= Duration::from_secs(2) {
            told = Instant::now();
            println!(
                "{}: {:.0} % of {}",
                file.name()?,
                100.0 * have as f64 / file.size_bytes as f64,
                mebibytes(file.size_bytes)
            );
        }
    }
    out.sync_all()?;
    ensure!(have == file.size_bytes, "the connection ended after {have} of {} bytes", file.size_bytes);
    Ok(())
}

/// That a file is what the manifest says.
fn verify(file: &File, path: &Path) -> anyhow::Result<()> {
    let size = fs::metadata(path)?.len();
    ensure!(
        size == file.size_bytes,
        "{} has {size} bytes, not {}: it is another file",
        path.display(),
        file.size_bytes
    );
    let found = sha256(path)?;
    let recorded = path.with_file_name(format!("{}.sha256", file.name()?));
    let expected = match &file.sha256 {
        Some(hash) => hash.clone(),
        None if recorded.is_file() => fs::read_to_string(&recorded)?.trim().to_owned(),
        None => {
            println!("{}: its SHA-256 is not known; recording {found}", file.name()?);
            return Ok(fs::write(&recorded, &found)?);
        }
    };
    if found != expected {
        bail!("{} has SHA-256 {found}, not {expected}: it is another file, or damaged", path.display());
    }
    Ok(())
}

/// In lower-case hexadecimal.
pub fn sha256(path: &Path) -> anyhow::Result<String> {
    let (mut file, mut hash) = (fs::File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

/// A size for people.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// SHA-256 of "hello world".
    const HELLO: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

    /// Answers one request after the other with these raw responses; gives the request heads back.
    fn server(responses: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hello.txt", listener.local_addr().unwrap());
        let serve = move |response: &str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            stream.write_all(response.as_bytes()).unwrap();
            head.to_lowercase()
        };
        (url, std::thread::spawn(move || responses.into_iter().map(serve).collect()))
    }

    fn direct() -> ureq::Agent {
        ureq::Agent::config_builder().proxy(None).build().into()
    }

    fn hello(url: String, hash: Option<&str>) -> File {
        File { url, size_bytes: 11, sha256: hash.map(str::to_owned), strip: 0 }
    }

    #[test]
    fn a_broken_download_goes_on_where_it_stopped() {
        let (url, server) = server(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello ",
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nConnection: close\r\n\r\nworld",
        ]);
        let dir = tempfile::tempdir().unwrap();
        let path = fetch(&direct(), &hello(url, Some(HELLO)), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "hello world");
        let requests = server.join().unwrap();
        assert!(!requests[0].contains("range:") && requests[1].contains("range: bytes=6-"), "{requests:?}");
    }

    #[test]
    fn a_server_without_ranges_starts_over() {
        let (url, server) =
            server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world"]);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hello.txt.part"), "hel").unwrap();
        let path = fetch(&direct(), &hello(url, Some(HELLO)), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "hello world");
        assert!(server.join().unwrap()[0].contains("range: bytes=3-"));
    }

    #[test]
    fn another_file_is_refused_and_not_kept() {
        let (url, server) =
            server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello w0rld"]);
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&direct(), &hello(url, Some(HELLO)), dir.path()).unwrap_err().to_string();
        assert!(error.contains("SHA-256") && error.contains(HELLO), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        server.join().unwrap();
    }

    #[test]
    fn an_unknown_hash_is_recorded_and_then_held_against() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = (dir.path().join("hello.txt"), hello("http://nowhere/hello.txt".into(), None));
        fs::write(&path, "hello world").unwrap();
        fetch(&direct(), &file, dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("hello.txt.sha256")).unwrap(), HELLO);
        fs::write(&path, "hello w0rld").unwrap();
        assert!(fetch(&direct(), &file, dir.path()).is_err());
    }
}
