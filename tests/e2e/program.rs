//! Runs of the program and their results.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};

use crate::settings::TINY;

/// A temporary working folder.
pub struct Place {
    dir: tempfile::TempDir,
}

/// Output and exit code of a finished program.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program in this folder, without a terminal and with an environment of its own.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtl"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("CARGO_PKG_NAME").env_remove("RUST_BACKTRACE").env_remove("RUST_LOG");
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// `train` with the smallest networks; later arguments win.
    pub fn train(&self, args: &[&str]) -> Done {
        self.run(tiny(args))
    }

    /// Runs the program and checks the exit code and the words of its error message.
    pub fn refuses<S: AsRef<OsStr>>(&self, code: i32, args: impl IntoIterator<Item = S>, words: &[&str]) {
        let done = self.run(args);
        assert_eq!(done.code, Some(code), "{}", done.err);
        assert!(done.out.is_empty(), "a refusal prints nothing on standard output: {}", done.out);
        for word in words {
            assert!(done.err.contains(word), "`{word}` is missing in: {}", done.err);
        }
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
}

/// The arguments of `train` with the smallest networks.
pub fn tiny<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["train", "--set"];
    all.extend(TINY);
    all.extend(args);
    all
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program speaks UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    /// Itself, after a check for success.
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// SHA-256 of each file of the newest checkpoint that holds numbers.
pub fn weights(run: &Path) -> Vec<String> {
    let pointer = run.join("checkpoints/last");
    let folder = match std::fs::read_to_string(&pointer) {
        Ok(name) => run.join("checkpoints").join(name.trim()),
        Err(_) => pointer,
    };
    ["model", "average", "optimizer"]
        .iter()
        .map(|name| {
            let path = folder.join(format!("{name}.safetensors"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!bytes.is_empty());
            format!("{name} {:x?}", Sha256::digest(bytes))
        })
        .collect()
}

/// All files below a folder with their contents.
pub fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}
