//! Passes the revision of the sources this program is built from on to `env.json` of its runs.
//!
//! Done in the crate that is linked last: it is built anew when any other is, so that this costs nothing more.

use std::path::Path;
use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 3] = ["../../crates", "../../Cargo.toml", "../../Cargo.lock"];

fn main() {
    // A commit, a checkout or a reset moves HEAD, or the branch it names; each is one line more in HEAD's log, if it has one.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_default();
    let names = ["HEAD", "logs/HEAD", &branch].into_iter().filter(|name| !name.is_empty());
    let moved: Vec<String> = names.filter_map(|name| git(&["rev-parse", "--git-path", name])).collect();
    let watched = moved.iter().map(String::as_str).chain(SOURCES);
    // A path that is not there would have this run at every build.
    for path in watched.filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) {
        let status = ["--no-optional-locks", "status", "--porcelain", "--"];
        let changed = git(&[&status[..], &SOURCES[..]].concat()).is_some_and(|files| !files.is_empty());
        println!("cargo::rustc-env=MTL_GIT_REVISION={revision}{}", if changed { "-changed" } else { "" });
    }
}

/// What git says, if there is a git and these are the sources of a repository.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
