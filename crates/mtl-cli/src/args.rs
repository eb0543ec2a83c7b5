//! Command-line arguments.

mod compare;
mod data;
mod eval;
mod generate;

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Parser, Subcommand, ValueEnum};

pub use compare::Compare;
pub use data::{Data, Fetch, Slices};
pub use eval::Eval;
pub use generate::Generate;

const EXAMPLES: &str = "\
Examples:
  mtl                                        train on built-in scenes, about two minutes
  mtl data check photos                      contents and problems of a folder
  mtl train --data photos --minutes 20       train on your images
  mtl train --data photos --set balancer=pcgrad --set stages.joint.batch=32
  mtl generate runs/photos-0001 -n 64        generate images
  mtl predict runs/photos-0001 leaf.jpg      classes, mask and overlay of an image
  mtl resume runs/photos-0001                continue an interrupted run
  mtl compare --methods upgrad,pcgrad        does sharing or balancing help?

Exit codes:
  0 done    1 failure    2 usage or configuration    3 data    4 diverged    130 interrupted";

const TRAIN_HELP: &str = "\
Precedence, later sources win: defaults, the preset (or the run of --init-from), the file of --config, --set, other flags.
The config.toml of a run folder lists all keys. Examples:
  mtl train --data photos --epochs 30 --size 64x128
  mtl train --data photos --preset tutorial --seed 7 --name tutorial
  mtl train --data photos --data scans --set data.sampling=temperature model.trunk.resnet.norm=group
  mtl train --data photos --set stages.run='[\"joint\"]' model.trunk.resnet.preset=m
  mtl train --init-from runs/photos-0001 --set stages.run='[\"gan\"]' generators.gan.gan.mode=finetuned";

const BALANCE_HELP: &str = "\
The file is JSON, one row of the Jacobian per task; losses default to 1:
  { \"jacobian\": [[1.0, -2.0, 0.5], [-1.5, 0.7, 1.1]], \"losses\": [0.7, 0.3] }
Examples:
  mtl balance upgrad step.json
  mtl balance cagrad step.json --set c=0.4 rescale=false --json
`mtl list balancers` lists the methods.";

/// Multi-task learning on images: one shared trunk for classification, segmentation, depth and generation.
///
/// Without a verb, `mtl` trains on built-in scenes: first all tasks jointly, then the generators on the trained trunk. It prints
/// the scores on held-out images and the paths of the pictures.
#[derive(Debug, Parser)]
#[command(name = "mtl", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Args {
    /// Without a verb: `train` on built-in scenes.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Output on the screen.
    #[command(flatten)]
    pub display: Display,
}

/// Output on the screen.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Display {
    /// Plain lines instead of progress bars [default without a terminal].
    #[arg(long, global = true)]
    pub plain: bool,
    /// Results and errors only.
    #[arg(long, short, global = true, conflicts_with_all = ["plain", "verbose"])]
    pub quiet: bool,
    /// More log lines: -v information, -vv details, -vvv everything. RUST_LOG=TARGET=LEVEL,... replaces -v and -q.
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Format of log lines on standard error.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line per event: level, target, message, fields.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// Verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train the tasks jointly, then the generators, and score the model on held-out images.
    #[command(after_help = TRAIN_HELP)]
    Train(Train),
    /// Continue an interrupted run; the result is bit for bit that of an uninterrupted one.
    Resume(Resume),
    /// Score a run on its held-out images, or on another folder; with --generation, its generators.
    Eval(Eval),
    /// Predict class probabilities, masks and overlays (PNG) for images and folders of images.
    Predict(Predict),
    /// Generate new images: samples, images like given ones, animations, edits.
    #[command(after_help = generate::HELP)]
    Generate(Generate),
    /// Check a folder of images.
    Data {
        /// Verb.
        #[command(subcommand)]
        verb: Data,
    },
    /// Apply a balancing method to task gradients from a JSON file.
    #[command(after_help = BALANCE_HELP)]
    Balance(Balance),
    /// Compare balancers with equal weighting, tuned weights and single tasks over several seeds.
    #[command(after_help = compare::HELP)]
    Compare(Compare),
    /// List trunks, sharings, heads, objectives, generators, stages, balancers, readers, samplers, presets and augmentations.
    List {
        /// One list only.
        what: Option<Registry>,
    },
}

impl Default for Verb {
    fn default() -> Self {
        Self::Train(Train::default())
    }
}

/// `mtl train`.
#[derive(Debug, Default, clap::Args)]
#[command(group = ArgGroup::new("budget").args(["epochs", "steps", "minutes"]))]
pub struct Train {
    /// Folder of images [default: built-in scenes]. May be repeated; each folder has labels for its own tasks.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Settings from a TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Single settings, as key.path=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// Preset, a named set of settings; see `mtl list presets` [default: small, with --data: standard].
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Start from the weights and settings of this run; trains its generators on its trunk unless `stages.run` is set.
    #[arg(long, value_name = "RUN", conflicts_with = "preset")]
    pub init_from: Option<PathBuf>,
    /// Random seed [default: 0].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Epochs of the joint stage over the training images.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<f64>,
    /// Steps of the joint stage; generator stages scale in proportion.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// Minutes for all stages together.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub minutes: Option<f64>,
    /// Image size, 64 or 64x128 (height x width); multiples of 8 from 32 to 256.
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Device: cpu, cuda, cuda:1 or metal [default: cpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Name of the run folder; a number is appended [default: name of the data set].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `mtl resume`.
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The run folder.
    pub run: PathBuf,
    /// New place of the run's folder of images, if it was moved or renamed; repeated for a run on several folders.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `mtl predict`.
#[derive(Debug, clap::Args)]
pub struct Predict {
    /// The run folder.
    pub run: PathBuf,
    /// Image files, folders, and patterns in quotes such as 'scans/*.png'.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Folder for the table, masks and overlays, new or empty [default: a new folder in the run].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Format of the table: predictions.csv, or predictions.jsonl with one JSON object per line.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: TableFormat,
    /// Device [default: that of training].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Format of the table of predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// A row per image.
    #[default]
    Csv,
    /// A JSON object per line.
    Json,
}

/// `mtl balance`.
#[derive(Debug, clap::Args)]
pub struct Balance {
    /// Balancing method; see `mtl list balancers`. `ew`: equal weights.
    pub method: String,
    /// JSON file with task gradients, one row per task, and losses.
    pub file: PathBuf,
    /// Settings of the method, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// Random seed of randomised methods.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Print `{"weights": [...], "vector": [...]}`.
    #[arg(long)]
    pub json: bool,
}

/// Lists of `mtl list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Registry {
    /// Shared encoders.
    Trunks,
    /// Kinds of parameter sharing.
    Sharings,
    /// Networks of single tasks.
    Heads,
    /// Unlabelled objectives of the joint stage.
    Objectives,
    /// Generative models.
    Generators,
    /// Training stages.
    Stages,
    /// Balancing methods: from task losses or gradients to one update.
    Balancers,
    /// Supported folder layouts.
    Readers,
    /// Sampling rates of several folders.
    Samplers,
    /// Named settings of a run.
    Presets,
    /// Named settings of the augmentation.
    Augment,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn nothing_typed_is_the_main_job() {
        let args = Args::try_parse_from(["mtl"]).unwrap();
        let Verb::Train(train) = args.verb.unwrap_or_default() else { panic!("not the main job") };
        assert!(train.data.is_empty() && train.preset.is_none() && train.set.is_empty());
    }

    #[test]
    fn set_takes_one_or_several() {
        let args =
            Args::try_parse_from(["mtl", "train", "--set", "a=1", "b=2", "--seed", "3", "--set", "c=4"]).unwrap();
        let Some(Verb::Train(train)) = args.verb else { panic!("not train") };
        assert_eq!(train.set, ["a=1", "b=2", "c=4"]);
        assert_eq!(train.seed, Some(3));
    }

    #[test]
    fn data_may_be_repeated() {
        let args = Args::try_parse_from(["mtl", "train", "--data", "a", "--seed", "3", "--data", "b"]).unwrap();
        let Some(Verb::Train(train)) = args.verb else { panic!("not train") };
        assert_eq!(train.data, [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn verbosity_is_counted_and_no_quiet_run_is_verbose() {
        let display = |args: &[&str]| Args::try_parse_from(args).map(|args| args.display);
        let both = display(&["mtl", "-v", "train", "-v", "--log-format", "json"]).unwrap();
        assert_eq!((display(&["mtl", "train", "-vv"]).unwrap().verbose, both.log_format), (2, LogFormat::Json));
        assert_eq!(display(&["mtl"]).unwrap().log_format, LogFormat::Text);
        assert!(display(&["mtl", "train", "-q", "-v"]).is_err());
        assert!(display(&["mtl", "train", "-q", "--plain"]).is_err());
    }

    #[test]
    fn kinds_of_images_exclude_each_other() {
        let parsed = |more: &str| Args::try_parse_from(format!("mtl generate run {more}").split_whitespace());
        for more in [
            "--like a.png --interpolate 1 2",
            "--grid --like a.png",
            "--grid --edit class=a",
            "--grid --interpolate 1 2",
            "--grid --predict",
            "--interpolate 1 2 --edit class=a",
            "--interpolate 1 2 -n 3",
            "--interpolate 1",
            "--like a.png -n 3",
            "--frames 3",
        ] {
            assert!(parsed(more).is_err(), "{more}");
        }
        for more in ["", "--grid -n 3", "--like a.png --like b.png --edit class=a", "--interpolate 1 b.png --frames 9"]
        {
            assert!(parsed(more).is_ok(), "{more}");
        }
    }

    #[test]
    fn one_budget_only() {
        assert!(Args::try_parse_from(["mtl", "train", "--steps", "3", "--minutes", "1"]).is_err());
        assert!(Args::try_parse_from(["mtl", "train", "--steps", "3"]).is_ok());
    }
}
