//! What can be typed.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  mtl                                        the main job on built-in scenes, about a minute
  mtl data check photos                      what is in a folder, and what is wrong with it
  mtl train --data photos --minutes 20       the main job on your images
  mtl train --data photos --set balancer=pcgrad --set joint.batch=32
  mtl generate runs/photos-0001 -n 64        new images
  mtl predict runs/photos-0001 leaf.jpg      classes, mask and overlay of an image
  mtl resume runs/photos-0001                go on with a run that was stopped

Exit codes:
  0 done    1 failure    2 usage or configuration    3 data    4 diverged    130 interrupted";

const TRAIN_HELP: &str = "\
Settings are taken from defaults, then the preset (or the run of --from), then the file, then --set, then the other flags;
later ones win.
Every key is in the run folder's config.toml. Examples:
  mtl train --data photos --epochs 30 --size 64x128
  mtl train --data photos --preset tutorial --seed 7 --name tutorial
  mtl train --data photos --data scans --set data.mixing=temperature model.trunk.resnet.norm=group
  mtl train --data photos --set stages='[\"joint\"]' model.trunk.resnet.preset=m
  mtl train --from runs/photos-0001 --set stages='[\"gan\"]' model.gan.mode=live";

const BALANCE_HELP: &str = "\
The file is JSON; losses are 1 where they are left out:
  { \"jacobian\": [[1.0, -2.0, 0.5], [-1.5, 0.7, 1.1]], \"losses\": [0.7, 0.3] }
Examples:
  mtl balance upgrad step.json
  mtl balance cagrad step.json --set c=0.4 rescale=false --json
`mtl list balancers` shows the methods.";

/// One shared trunk learns classification, segmentation and generation together, from a folder of images.
///
/// Without a verb the main job runs on built-in scenes: it trains the joint model, then the generators with the learnt
/// trunk, scores it on images it never saw, and says where the pictures are.
#[derive(Debug, Parser)]
#[command(name = "mtl", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Args {
    /// What to do; without it, the main job on built-in scenes.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How much is shown.
    #[command(flatten)]
    pub display: Display,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Display {
    /// Plain lines instead of progress bars (the default where there is no terminal).
    #[arg(long, global = true)]
    pub plain: bool,
    /// Nothing but the result and errors.
    #[arg(long, short, global = true, conflicts_with = "plain")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train the joint model, then the generators, and score them on held-out images.
    #[command(after_help = TRAIN_HELP)]
    Train(Train),
    /// Go on with an interrupted run, bit for bit as if it had never stopped.
    Resume(Resume),
    /// Score a run on its held-out images, or on another folder.
    Eval(Eval),
    /// Class probabilities, mask PNG and overlay PNG of images.
    Predict(Predict),
    /// Draw new images.
    Generate(Generate),
    /// Look at a folder of images.
    Data {
        /// What about it.
        #[command(subcommand)]
        verb: Data,
    },
    /// What a method of balancing makes of task gradients in a file: to check it, or to see what it does.
    #[command(after_help = BALANCE_HELP)]
    Balance(Balance),
    /// Trunks, heads, generators, balancers, readers, mixings and presets, each in one line.
    List {
        /// Only these.
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
    /// Folder of images; may be repeated, each with labels for its own tasks. Without it, built-in scenes are drawn.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Settings from a TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Single settings, as key.path=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// Named settings to start from; see `mtl list presets` [default: small, with --data: standard].
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Begin with the trunk and heads of this run, and its settings: trains a VAE and a GAN on them, unless other stages
    /// are set.
    #[arg(long, value_name = "RUN", conflicts_with = "preset")]
    pub from: Option<PathBuf>,
    /// The number all chance follows from [default: 0].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Passes of the joint stage over the training images.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<f64>,
    /// Steps of the joint stage; the generators' follow in proportion.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// Minutes for everything together.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub minutes: Option<f64>,
    /// Image size, 64 or 64x128 (height x width); divisible by 8, 32 to 256.
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Where to compute: cpu, cuda, cuda:1 or metal [default: cpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Name of the run folder; a number is appended [default: the data set's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl resume`.
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The run folder.
    pub run: PathBuf,
    /// The result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl eval`.
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The run folder.
    pub run: PathBuf,
    /// All images of this folder instead of the run's held-out ones.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute [default: as the run was trained].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl predict`.
#[derive(Debug, clap::Args)]
pub struct Predict {
    /// The run folder.
    pub run: PathBuf,
    /// Image files.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Where masks and overlays are written [default: a new folder in the run].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute [default: as the run was trained].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl generate`.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// The run folder.
    pub run: PathBuf,
    /// How many images.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 64, allow_negative_numbers = true)]
    pub count: usize,
    /// Only images of this class.
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// The number all chance follows from.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Which generator: gan or vae [default: gan, if the run has one].
    #[arg(long, value_name = "NAME")]
    pub generator: Option<String>,
    /// Where the images are written [default: a new folder in the run].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute [default: as the run was trained].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl balance`.
#[derive(Debug, clap::Args)]
pub struct Balance {
    /// Name of the method; see `mtl list balancers`. `ew` is equal weights.
    pub method: String,
    /// The task gradients, a row a task, and the losses.
    pub file: PathBuf,
    /// Settings of the method, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// The number the randomness of some methods follows from.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// `{"weights": [...], "vector": [...]}` on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `mtl data`.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Counts, sizes, broken files, duplicates and masks of a folder; exit code 3 if something needs repair.
    Check {
        /// The folder, or a manifest.csv.
        dir: PathBuf,
        /// Name of the reader; see `mtl list readers` [default: the folder decides].
        #[arg(long, value_name = "NAME")]
        reader: Option<String>,
        /// The report as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What `mtl list` can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Registry {
    /// Shared encoders.
    Trunks,
    /// What serves a task.
    Heads,
    /// What draws new images.
    Generators,
    /// How losses become one step.
    Balancers,
    /// Folder layouts that are understood.
    Readers,
    /// How often each of several folders is seen.
    Mixings,
    /// Named settings of a whole run.
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
    fn one_budget_only() {
        assert!(Args::try_parse_from(["mtl", "train", "--steps", "3", "--minutes", "1"]).is_err());
        assert!(Args::try_parse_from(["mtl", "train", "--steps", "3"]).is_ok());
    }
}
