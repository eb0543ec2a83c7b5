//! A server on this machine, for tests: answers each connection with prepared bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::HttpOptions;

/// One prepared answer.
pub(crate) enum Answer {
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes, then nothing until the client gives up.
    Stall(&'static str),
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A running server.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) address: String,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    /// Serves one connection per answer, in order.
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        let (listener, address) = listen();
        let thread =
            std::thread::spawn(move || answers.into_iter().map(|answer| serve(&listener, |_| answer)).collect());
        Self { address, thread }
    }

    /// Heads of the requests in lower case, once all answers were given.
    pub(crate) fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// An answer with a status line, headers, its length and a body.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// Options without proxies, pauses and patience.
pub(crate) fn impatient() -> HttpOptions {
    HttpOptions {
        idle_timeout: Duration::from_secs(20),
        pause: Duration::ZERO,
        environment_proxy: false,
        ..HttpOptions::default()
    }
}

pub(crate) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// Accepts one connection, reads one request, answers it.
pub(crate) fn serve(listener: &TcpListener, answer: impl FnOnce(&str) -> Answer) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let head = head(&stream);
    // A client may hang up early.
    match answer(&head) {
        Answer::Bytes(bytes) => _ = stream.write_all(&bytes),
        Answer::Stall(text) => {
            stream.write_all(text.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        }
    }
    head
}

fn head(stream: &TcpStream) -> String {
    let (mut head, mut reader) = (String::new(), BufReader::new(stream));
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    head.to_lowercase()
}
