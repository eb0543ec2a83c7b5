//! Passes the revision this program is built from on to `env.json`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if let Some(revision) =
        output.ok().filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok())
    {
        println!("cargo::rustc-env=MTL_GIT_REVISION={}", revision.trim());
    }
}
