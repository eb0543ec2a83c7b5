use super::*;
use crate::loopback::{Answer, Server, impatient, listen, response};

/// SHA-256 of "hello world".
const HELLO: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world";

fn hello(address: &str, hash: Option<&str>) -> File {
    File { url: format!("{address}/hello.txt"), size_bytes: 11, sha256: hash.map(str::to_owned), strip: 0 }
}

fn fetch(file: &File, dir: &Path) -> Result<PathBuf, Error> {
    Client::new(impatient()).fetch(file, dir, &mut |_| {})
}

/// The error of a download, the requests made for it, and the folder.
fn failure(options: HttpOptions, answers: Vec<Answer>) -> (Error, Vec<String>, tempfile::TempDir) {
    let (server, dir) = (Server::new(answers), tempfile::tempdir().unwrap());
    let file = hello(&server.address, Some(HELLO));
    let error = Client::new(options).fetch(&file, dir.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("hello.txt"), "{error}");
    (error, server.requests(), dir)
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let server = Server::new(vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello ".into(),
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 6-10/11\r\nConnection: close\r\n\r\nworld"
            .into(),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    let file = hello(&server.address, Some(HELLO));
    let path = Client::new(impatient()).fetch(&file, dir.path(), &mut |event| events.push(event.to_string())).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "hello world");
    let requests = server.requests();
    assert!(!requests[0].contains("range:") && requests[1].contains("range: bytes=6-"), "{requests:?}");
    assert_eq!(events.last().unwrap(), "hello.txt: 100 % of 0.0 MiB");
    assert!(events.iter().any(|event| event.contains("6 of 11 bytes; next attempt")), "{events:?}");
}

#[test]
fn a_server_without_ranges_starts_over() {
    let server = Server::new(vec![WHOLE.into()]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello.txt.part"), "hel").unwrap();
    let path = fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "hello world");
    assert!(server.requests()[0].contains("range: bytes=3-"));
}

#[test]
fn a_range_that_the_server_does_not_have_starts_over() {
    let server = Server::new(vec![response("416 Range Not Satisfiable", "", b""), WHOLE.into()]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello.txt.part"), "hel").unwrap();
    fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap();
    assert!(!server.requests()[1].contains("range:"));
}

#[test]
fn the_wrong_range_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello.txt.part"), "hel").unwrap();
    let wrong = || response("206 Partial Content", "Content-Range: bytes 2-9/11\r\n", b"llo worl");
    let server = Server::new((0..5).map(|_| wrong()).collect());
    let error = fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap_err().to_string();
    assert!(error.contains("another part of the file") && error.contains("byte 3"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("hello.txt.part")).unwrap(), "hel");
    server.requests();
}

#[test]
fn another_file_is_refused_and_not_kept() {
    let server = Server::new(vec![WHOLE.replace("world", "w0rld").as_str().into()]);
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains(HELLO), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    server.requests();
}

#[test]
fn an_unknown_hash_is_recorded_and_then_held_against() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = (dir.path().join("hello.txt"), hello("http://nowhere", None));
    fs::write(&path, "hello world").unwrap();
    fetch(&file, dir.path()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("hello.txt.sha256")).unwrap(), HELLO);
    fs::write(&path, "hello w0rld").unwrap();
    assert!(fetch(&file, dir.path()).is_err());
}

#[test]
fn redirects_are_followed_with_the_range() {
    let server = Server::new(vec![
        response("302 Found", "Location: /moved/hello.txt\r\n", b""),
        response("206 Partial Content", "Content-Range: bytes 6-10/11\r\n", b"world"),
    ]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello.txt.part"), "hello ").unwrap();
    let path = fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "hello world");
    let requests = server.requests();
    assert!(requests[1].starts_with("get /moved/hello.txt") && requests[1].contains("range: bytes=6-"), "{requests:?}");
}

#[test]
fn redirects_without_end_stop() {
    let again = || response("302 Found", "Location: /hello.txt\r\n", b"");
    let options = HttpOptions { attempts: 1, ..impatient() };
    let (error, requests, _dir) = failure(options, (0..11).map(|_| again()).collect());
    assert!(error.to_string().contains("redirects without end"), "{error}");
    assert_eq!(requests.len(), 11);
}

#[test]
fn a_missing_file_is_not_asked_for_twice() {
    for (status, words) in [("404 Not Found", "look at the data set's page"), ("403 Forbidden", "by hand")] {
        let (error, requests, _dir) = failure(impatient(), vec![response(status, "", b"no")]);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(requests.len(), 1);
    }
}

#[test]
fn a_fault_of_the_server_is_tried_again() {
    let server = Server::new(vec![response("503 Service Unavailable", "", b""), WHOLE.into()]);
    let dir = tempfile::tempdir().unwrap();
    fetch(&hello(&server.address, Some(HELLO)), dir.path()).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_always_breaks_off_is_given_up() {
    let options = HttpOptions { attempts: 3, ..impatient() };
    let broken = || response("200 OK", "", b"hello world");
    let answers = (0..3).map(|_| {
        let Answer::Bytes(mut bytes) = broken() else { unreachable!() };
        bytes.truncate(bytes.len() - 7);
        Answer::Bytes(bytes)
    });
    let (error, requests, dir) = failure(options, answers.collect());
    let words = error.to_string();
    for part in ["ended after 4 of 11 bytes", "3 attempts", "same command again"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(requests.len(), 3);
    assert_eq!(fs::read_to_string(dir.path().join("hello.txt.part")).unwrap(), "hell");
}

#[test]
fn another_length_is_refused_before_it_is_downloaded() {
    let (error, requests, dir) = failure(impatient(), vec![response("200 OK", "", b"<html>log in</html>")]);
    assert!(error.to_string().contains("19 bytes, the manifest says 11"), "{error}");
    assert_eq!(requests.len(), 1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_body_without_a_length_that_is_too_long_is_cut() {
    let long = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world and more";
    let (error, _, dir) = failure(impatient(), vec![long.into()]);
    assert!(matches!(error, Error::WrongLength { expected_bytes: 11, .. }), "{error}");
    assert!(fs::metadata(dir.path().join("hello.txt.part")).unwrap().len() <= 11);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let options = HttpOptions { attempts: 1, idle_timeout: Duration::from_millis(50), ..impatient() };
    for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello "] {
        let (error, _, dir) = failure(options, vec![Answer::Stall(text)]);
        assert!(error.to_string().contains("sent nothing for 50ms"), "{error}");
        let part = fs::read_to_string(dir.path().join("hello.txt.part")).unwrap_or_default();
        assert_eq!(part, if text.is_empty() { "" } else { "hello " });
    }
}

#[test]
fn a_refused_connection_is_tried_again_and_has_words() {
    let (listener, address) = listen();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(HttpOptions { attempts: 2, ..impatient() });
    let mut retries = 0;
    let count = &mut |event: Progress<'_>| retries += usize::from(matches!(event, Progress::Retry { .. }));
    let error = client.fetch(&hello(&address, Some(HELLO)), dir.path(), count).unwrap_err().to_string();
    assert!(error.contains("refuses the connection") && error.contains(&address), "{error}");
    assert_eq!(retries, 1);
}
