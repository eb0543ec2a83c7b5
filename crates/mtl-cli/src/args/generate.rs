//! Arguments of `mtl generate`.

use std::path::PathBuf;

/// Examples of `mtl generate --help`.
pub const HELP: &str = "\
Images and animations are for looking at; a data set to train on is written without --grid, --like, --interpolate and --edit.
Examples:
  mtl generate runs/photos-0001 -n 64 --class rust
  mtl generate runs/photos-0001 --truncation 0.6 --grid
  mtl generate runs/photos-0001 --predict              predicted masks and classes
  mtl generate runs/photos-0001 --like leaf.jpg        nearest image, RMSE, PSNR
  mtl generate runs/photos-0001 --interpolate 3 8      GIF and APNG
  mtl generate runs/photos-0001 --interpolate a.png b.png --frames 48
  mtl generate runs/photos-0001 -n 8 --class rust --edit class=miner
  mtl generate runs/photos-0001 --like leaf.jpg --edit class=miner";

/// `mtl generate`.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// The run folder.
    pub run: PathBuf,
    /// Number of images.
    #[arg(
        short = 'n', long, value_name = "N", default_value_t = 64, allow_negative_numbers = true,
        conflicts_with_all = ["like", "interpolate"]
    )]
    pub count: usize,
    /// Only images of this class [default: all classes in turn; of an image, the class that the model predicts].
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Distance of latents from the mean of their class, above 0 and at most 1: lower values give more typical and less varied
    /// images [default: 1].
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub truncation: Option<f64>,
    /// Strength of classifier-free guidance, at least 0, of generators that have it [default: the generator's own].
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Steps of the solver, of generators that solve a differential equation [default: the generator's own].
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// The picture of all images alone: no single files, no manifest.
    #[arg(long, conflicts_with_all = ["like", "interpolate", "edit", "predict"])]
    pub grid: bool,
    /// The image that the generator can make most like this one, by optimisation of its latent; may be repeated. Prints the error.
    #[arg(long, value_name = "IMAGE", conflicts_with = "interpolate")]
    pub like: Vec<PathBuf>,
    /// Frames from one image to another and back, as GIF and APNG. A and B are seeds (the first image of `--seed A`) or image
    /// files. A file whose name is a number is written as ./NAME.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["edit", "predict"])]
    pub interpolate: Vec<String>,
    /// Frames from A to B, both included [default: 24].
    #[arg(long, value_name = "N", requires = "interpolate", allow_negative_numbers = true)]
    pub frames: Option<usize>,
    /// The same latents with another class, beside the images without the edit.
    #[arg(long, value_name = "class=NAME")]
    pub edit: Option<String>,
    /// Also predict all tasks for the images with the run's own heads: table, masks and overlays in `predictions`, never as labels.
    #[arg(long)]
    pub predict: bool,
    /// Random seed.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Name of the generator [default: the one that was trained last].
    #[arg(long, value_name = "NAME")]
    pub generator: Option<String>,
    /// Folder for the images [default: a new folder in the run].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Device [default: that of training].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
