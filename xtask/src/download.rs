//! `cargo xtask download`: public data sets, by `mtl-hub`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mtl_hub::{Download, Outcome, Progress, mebibytes};

use crate::{cargo, root};

/// `download`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data set, or `hf:OWNER/NAME` or `hf:OWNER/NAME:CONFIG` on the Hugging Face Hub; without it, all data sets with a manifest.
    name: Option<String>,
    /// Folder that gets a folder per data set [default: data/downloads].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// An archive downloaded by hand, to unpack instead of a download.
    #[arg(long, value_name = "FILE", requires = "name")]
    from: Option<PathBuf>,
    /// `hub` for hf:NAME: builds about 300 packages more at its first use.
    #[arg(long, value_name = "FEATURE", value_parser = ["hub"])]
    features: Option<String>,
}

/// Lists the data sets, or downloads one.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dir = args.dir.clone().unwrap_or_else(|| root().join("data/downloads"));
    let Some(name) = &args.name else { return list(&dir) };
    let outcome = match name.strip_prefix("hf:") {
        Some(dataset) if cfg!(feature = "hub") => from_hub(dataset, &dir)?,
        Some(_) => return rebuilt(args),
        None => {
            let manifest = mtl_hub::dataset(name)?;
            println!("{manifest}");
            if let Some(path) = &args.from {
                println!("SHA-256 of {}: {}", path.display(), mtl_hub::sha256(path)?);
            }
            let mut download = Download::new(&manifest, &dir);
            if let Some(path) = &args.from {
                download = download.archive(path);
            }
            download.run(&mut Lines::default().printer())?
        }
    };
    let Outcome { folder, files, .. } = &outcome;
    match outcome.already_there {
        true => println!("{} exists already; remove it to download it again", folder.display()),
        false => println!("{files} files in {0}\nnext: mtl data check {0}", folder.display()),
    }
    Ok(())
}

fn list(dir: &Path) -> anyhow::Result<()> {
    for manifest in mtl_hub::datasets()? {
        let size = match manifest.size_bytes() {
            0 => "by hand".to_owned(),
            bytes => mebibytes(bytes),
        };
        let here = if dir.join(&manifest.name).is_dir() { "  (downloaded)" } else { "" };
        println!("{:16} {size:>10}  {}{here}", manifest.name, manifest.what);
        println!("{:28} reader {}; licence: {}", "", manifest.reader, manifest.licence);
    }
    println!("\ncargo xtask download NAME unpacks one into {}", dir.display());
    Ok(())
}

/// Runs this program again, built with the feature `hub`.
fn rebuilt(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.features.is_some(),
        "the Hugging Face Hub needs about 300 packages more; add --features hub to build them"
    );
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", "hub", "--"]);
    // The arguments of this call, run in the same directory because of relative paths.
    command.args(std::env::args_os().skip(1)).current_dir(std::env::current_dir()?);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the download failed");
    Ok(())
}

#[cfg(feature = "hub")]
fn from_hub(dataset: &str, dir: &Path) -> anyhow::Result<Outcome> {
    Ok(mtl_hub::hugging_face::download(dataset, dir, &mtl_hub::hugging_face::Options::default())?)
}

#[cfg(not(feature = "hub"))]
fn from_hub(_: &str, _: &Path) -> anyhow::Result<Outcome> {
    anyhow::bail!("built without the feature hub")
}

/// Prints progress every two seconds; in a terminal the line is overwritten.
#[derive(Default)]
struct Lines {
    last: Option<Instant>,
}

impl Lines {
    fn printer(mut self) -> impl FnMut(Progress<'_>) {
        let terminal = std::io::stdout().is_terminal();
        let period = if terminal { Duration::from_millis(200) } else { Duration::from_secs(2) };
        move |event| {
            let Progress::Received { bytes, total_bytes, .. } = event else {
                println!("{event}");
                return;
            };
            let complete = bytes == total_bytes;
            if complete || self.last.is_none_or(|last| last.elapsed() >= period) {
                self.last = Some(Instant::now());
                match terminal && !complete {
                    true => print!("{event}\r"),
                    false => println!("{event}"),
                }
                let _ = std::io::stdout().flush();
            }
        }
    }
}
