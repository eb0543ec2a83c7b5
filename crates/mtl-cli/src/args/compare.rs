//! Arguments of `mtl compare`.

use std::path::PathBuf;

/// Examples below the help.
pub const HELP: &str = "\
Runs are kept in the folder of --runs and not repeated: the same command continues an interrupted comparison.
Settings of all runs, later sources win: defaults, the preset, the file of --config, --set. Examples:
  mtl compare --steps 150 --methods upgrad,cagrad:c=0.4,pcgrad
  mtl compare --data photos --set size=32x64 --markdown
  mtl compare --set data.tasks='[\"class\", \"depth\"]' --seeds 5 --json compare.json";

/// `mtl compare`.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// Folder of images [default: built-in scenes]. May be repeated.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Balancers, separated by commas, with settings after a colon: `upgrad`, `cagrad:c=0.4;rescale=false`.
    #[arg(long, value_name = "METHODS", value_delimiter = ',', default_values = mtl_experiment::METHODS)]
    pub methods: Vec<String>,
    /// Runs of each arm, with one seed each.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: u64,
    /// Steps of each run.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub steps: u64,
    /// Preset of all runs; see `mtl list presets`.
    #[arg(long, value_name = "NAME", default_value = "small")]
    pub preset: String,
    /// Settings of all runs from a TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Single settings of all runs, as key.path=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    pub runs: PathBuf,
    /// Keep the checkpoints of complete runs.
    #[arg(long)]
    pub keep_checkpoints: bool,
    /// Print the table as Markdown.
    #[arg(long)]
    pub markdown: bool,
    /// Write all scores and the table to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
