//! Arguments of `mtl eval`.

use std::path::PathBuf;

/// `mtl eval`.
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The run folder.
    pub run: PathBuf,
    /// Score all images of this folder instead of the run's held-out images; or the new place of the run's own folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Score the run's generators: samples against held-out images. Trains a small classifier first, once per run (a minute or
    /// less).
    #[arg(long, conflicts_with = "data")]
    pub generation: bool,
    /// Samples per generator [default: as many as training images, at most 2000].
    #[arg(long, value_name = "N", requires = "generation", allow_negative_numbers = true)]
    pub samples: Option<usize>,
    /// Also train the classifier on samples alone, and score it on held-out images (classification accuracy score): takes as long
    /// again as the first training, per generator.
    #[arg(long, requires = "generation")]
    pub cas: bool,
    /// Name of the generator [default: all that are trained].
    #[arg(long, value_name = "NAME", requires = "generation")]
    pub generator: Option<String>,
    /// Random seed of the samples [default: 0].
    #[arg(long, value_name = "N", requires = "generation", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Also score in the features of the Inception-v3 of the FID. FILE is pt_inception-2015-12-05-6726825d.pth of pytorch-fid or
    /// weights-inception-2015-12-05-6726825d.pth of torch-fidelity, or the same tensors as safetensors.
    #[arg(long, value_name = "FILE", requires = "generation")]
    pub inception: Option<PathBuf>,
    /// Device [default: that of training].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
