//! `cargo xtask download`: public data sets, from their manifests in `data/`.

mod fetch;
mod manifest;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::root;
use manifest::Manifest;

/// `download`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which data set; without it, those there are.
    name: Option<String>,
    /// Where folders are made [default: data/downloads].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// An archive fetched by hand, to be unpacked in place of a download.
    #[arg(long, value_name = "FILE", requires = "name")]
    from: Option<PathBuf>,
}

/// Lists, or fetches one.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let manifests = Manifest::all(&root().join("data"))?;
    let dir = args.dir.clone().unwrap_or_else(|| root().join("data/downloads"));
    let Some(name) = &args.name else {
        list(&manifests, &dir);
        return Ok(());
    };
    let Some(manifest) = manifests.iter().find(|manifest| manifest.name == *name) else {
        let names: Vec<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
        bail!("there is no manifest data/{name}.toml; there are: {}", names.join(", "));
    };
    get(manifest, &dir, args.from.as_deref())
}

fn list(manifests: &[Manifest], dir: &Path) {
    for manifest in manifests {
        let size = match manifest.size_bytes() {
            0 => "by hand".to_owned(),
            bytes => fetch::mebibytes(bytes),
        };
        let here = if dir.join(&manifest.name).is_dir() { "  (here)" } else { "" };
        println!("{:16} {size:>10}  {}{here}", manifest.name, manifest.what);
        println!("{:28} reader {}; licence: {}", "", manifest.reader, manifest.licence);
    }
    println!("\ncargo xtask download NAME puts one into {}", dir.display());
}

fn get(manifest: &Manifest, dir: &Path, from: Option<&Path>) -> anyhow::Result<()> {
    let target = dir.join(&manifest.name);
    if target.is_dir() {
        println!("{} is here already; remove it to fetch it again", target.display());
        return Ok(());
    }
    println!(
        "{}: {}\n  licence   {}\n  citation  {}\n  page      {}",
        manifest.name, manifest.what, manifest.licence, manifest.citation, manifest.page
    );
    let archives = dir.join(format!("{}.archives", manifest.name));
    let sources: Vec<(PathBuf, usize)> = match from {
        Some(path) => {
            ensure!(path.is_file(), "there is no file {}", path.display());
            println!("SHA-256 of {}: {}", path.display(), fetch::sha256(path)?);
            let strip = manifest.file.first().map_or(manifest.strip, |file| file.strip);
            vec![(path.to_owned(), strip)]
        }
        None if manifest.file.is_empty() => {
            bail!("it has to be fetched by hand.\n{}", manifest.by_hand.as_deref().unwrap_or(&manifest.page));
        }
        None => {
            let agent = fetch::agent();
            manifest
                .file
                .iter()
                .map(|file| Ok((fetch::fetch(&agent, file, &archives)?, file.strip)))
                .collect::<anyhow::Result<_>>()?
        }
    };
    // Unpacked under another name, so that a folder that is there is whole.
    let unfinished = dir.join(format!("{}.unpacking", manifest.name));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut files = 0;
    for (archive, strip) in &sources {
        files += unpack::unpack(archive, &unfinished, *strip).with_context(|| archive.display().to_string())?;
    }
    fs::rename(&unfinished, &target)?;
    if from.is_none() {
        fs::remove_dir_all(&archives)?;
    }
    println!("{files} files in {0}\nnext: mtl data check {0}", target.display());
    Ok(())
}
