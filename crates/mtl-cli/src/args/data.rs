//! Arguments of `mtl data`.

use std::path::PathBuf;

use clap::Subcommand;

/// `mtl data`.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Report counts, sizes, broken files, duplicates and masks of a folder; exit code 3 if training would refuse it.
    Check {
        /// The folder, or a manifest.csv.
        dir: PathBuf,
        /// Reader; see `mtl list readers` [default: detected from the folder].
        #[arg(long, value_name = "NAME")]
        reader: Option<String>,
        /// Settings of `data.open` and `data.split`, as KEY=VALUE (several may follow).
        #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
        set: Vec<String>,
        /// Write a contact sheet to this folder: a few images of each class, with masks and labels drawn over.
        #[arg(long, value_name = "DIR")]
        pictures: Option<PathBuf>,
        /// List the labels that are most probably wrong by this trained run, and classes that its features do not separate.
        #[arg(long, value_name = "RUN")]
        run: Option<PathBuf>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Download a public data set, checked by size and SHA-256; without a name, list them (needs the feature `fetch`).
    Fetch(Fetch),
    /// Cut NIfTI volumes into slices, as a data set with a manifest (needs the feature `nifti`).
    Slices(Slices),
}

/// `mtl data fetch`.
#[derive(Debug, clap::Args)]
pub struct Fetch {
    /// The data set; without it, the list of data sets.
    pub name: Option<String>,
    /// Folder that gets a folder per data set.
    #[arg(long, value_name = "DIR", default_value = "data/downloads")]
    pub out: PathBuf,
    /// An archive downloaded by hand, to unpack instead of a download.
    #[arg(long, value_name = "FILE", requires = "name")]
    pub from: Option<PathBuf>,
}

/// `mtl data slices`.
#[derive(Debug, clap::Args)]
pub struct Slices {
    /// A volume, a folder of volumes, or a folder with imagesTr/ and labelsTr/.
    pub volumes: PathBuf,
    /// The new folder.
    pub out: PathBuf,
    /// Axis that the slices lie along: 0, 1 or 2.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub axis: u8,
    /// Values that become black to white, such as 40,400 for soft tissue in CT [default: each volume's own range].
    #[arg(long, value_name = "CENTER,WIDTH", value_parser = window, allow_negative_numbers = true)]
    pub window: Option<(f32, f32)>,
}

fn window(text: &str) -> Result<(f32, f32), String> {
    let numbers = text
        .split_once(',')
        .and_then(|(center, width)| Some((center.trim().parse().ok()?, width.trim().parse().ok()?)));
    numbers.filter(|&(_, width)| width > 0.0).ok_or_else(|| "two numbers, CENTER,WIDTH, the width above 0".into())
}
