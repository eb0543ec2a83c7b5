//! Every registered head in its variants, with random inputs and labels.

use mtl_heads::classification::{self, Pool};
use mtl_heads::segmentation::{self, Network};
use mtl_heads::{Config, HEADS, Head, HeadInput, dense, multi_label, regression};
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind, ValueStatistics};
use mtl_tensor::layers::NormKind;
use mtl_tensor::{DType, Params, Tensor, gradcheck};
use mtl_trunk::{Features, TapSpec};

/// A head's configuration and its task.
pub struct Variant {
    pub name: String,
    pub config: Config,
    pub task: Task,
    /// Whether the loss of two batches together is the mean of their losses, weighted by their numbers of labels: not for pooled
    /// (Dice) and weighted losses.
    pub mean: bool,
}

/// The registered defaults, and every choice their configurations offer. A new head adds an arm.
pub fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for entry in HEADS {
        let default = (entry.item.default)();
        let task = Task::new("leaf", kind_of(&default));
        let mut add = |name: &str, config: Config, mean: bool| {
            all.push(Variant { name: format!("{} {name}", entry.name), config, task: task.clone(), mean });
        };
        let pools = [Pool::Average, Pool::Pyramid, Pool::Flatten];
        match default.clone() {
            Config::Classification(config) => {
                add("default", default, true);
                for (pool, hidden) in pools.into_iter().flat_map(|pool| [(pool, None), (pool, Some(6))]) {
                    let config =
                        classification::Config { pool, hidden, dropout: 0.0, label_smoothing: 0.0, ..config.clone() };
                    add(&format!("{pool:?} {hidden:?}"), Config::Classification(config), true);
                }
                let class_weights = Some(vec![0.5, 2.0, 1.0]);
                let config = classification::Config { class_weights, ..config };
                add("weighted", Config::Classification(config), false);
            }
            Config::MultiLabel(config) => {
                add("default", default, true);
                for (pool, hidden) in pools.into_iter().flat_map(|pool| [(pool, None), (pool, Some(6))]) {
                    let config = multi_label::Config { pool, hidden, dropout: 0.0, ..config.clone() };
                    add(&format!("{pool:?} {hidden:?}"), Config::MultiLabel(config), true);
                }
                let config = multi_label::Config { positive_weights: Some(vec![0.5, 2.0, 1.0]), ..config };
                add("weighted", Config::MultiLabel(config), true);
            }
            Config::Segmentation(config) => {
                add("default", default, false);
                for network in [Network::Unet, Network::Fcn] {
                    for norm in [NormKind::Batch, NormKind::Group] {
                        for (cross_entropy, dice) in [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)] {
                            let config = segmentation::Config { network, norm, cross_entropy, dice, ..config.clone() };
                            let name = format!("{network:?} {norm:?} {cross_entropy} {dice}");
                            add(&name, Config::Segmentation(config), dice == 0.0);
                        }
                    }
                }
                let config = segmentation::Config { class_weights: Some(vec![0.5, 2.0, 1.0]), ..config };
                add("weighted", Config::Segmentation(config), false);
            }
            Config::Dense(config) => {
                add("default", default, true);
                for norm in [NormKind::Batch, NormKind::Group] {
                    for delta in [0.0, 0.5] {
                        let config = dense::Config { norm, delta, ..config.clone() };
                        add(&format!("{norm:?} {delta}"), Config::Dense(config), true);
                    }
                }
            }
            Config::Regression(config) => {
                add("default", default, true);
                for (pool, hidden) in pools.into_iter().flat_map(|pool| [(pool, None), (pool, Some(6))]) {
                    for loss in [regression::Loss::SmoothL1, regression::Loss::Mse] {
                        let config = regression::Config { pool, hidden, loss, ..config.clone() };
                        add(&format!("{pool:?} {hidden:?} {loss:?}"), Config::Regression(config), true);
                    }
                }
                add("dropout", Config::Regression(regression::Config { dropout: 0.2, ..config }), true);
            }
        }
    }
    all
}

/// The kind of task a head serves, with three classes or labels.
pub fn kind_of(config: &Config) -> TaskKind {
    let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    match config {
        Config::Classification(_) => TaskKind::Classification { classes: names },
        Config::MultiLabel(_) => TaskKind::MultiLabel { labels: names },
        Config::Segmentation(_) => TaskKind::Segmentation { classes: names },
        Config::Dense(_) => TaskKind::Dense { unit: "m".into() },
        Config::Regression(_) => TaskKind::Regression { unit: "kg".into() },
    }
}

/// Statistics that labels of numbers are standardised by.
pub const VALUES: ValueStatistics = ValueStatistics { images: 9, mean: 0.375, std: 0.25, min: 0.0, max: 1.0 };

/// Taps of 4, 8 and 8 channels at strides 2, 4 and 8 of 16 x 24 images.
pub fn head_input() -> HeadInput {
    let taps = [(2, 4), (4, 8), (8, 8)].map(|(stride, channels)| TapSpec { stride, channels });
    HeadInput { taps: taps.to_vec(), height: 16, width: 24, class_counts: None, values: Some(VALUES) }
}

/// The head on [`head_input`] and its parameters.
pub fn build(variant: &Variant, dtype: DType) -> (Params, Box<dyn Head>) {
    let params = Params::new(Seed::new(3), dtype, gradcheck::device());
    let head = variant.config.build(&params.scope("heads.leaf"), &variant.task, &head_input()).unwrap();
    (params, head)
}

/// Standard normal values, different for each name.
pub fn normals(name: &str, dims: &[usize], dtype: DType) -> Tensor {
    let values = Seed::new(4).stream(name, &[]).normals(dims.iter().product());
    Tensor::from_vec(values, dims, gradcheck::device()).unwrap().to_dtype(dtype).unwrap()
}

/// Random features of [`head_input`].
pub fn features(name: &str, batch: usize, dtype: DType) -> Features {
    let head_input = head_input();
    let tap = |tap: &TapSpec| {
        let dims = [batch, tap.channels, head_input.height / tap.stride, head_input.width / tap.stride];
        normals(&format!("{name}/{}", tap.stride), &dims, dtype)
    };
    Features { taps: head_input.taps.iter().map(tap).collect() }
}

/// Some images of a batch of features.
pub fn some(features: &Features, first: usize, count: usize) -> Features {
    Features { taps: features.taps.iter().map(|tap| part(tap, first, count)).collect() }
}

/// Some rows of a tensor.
pub fn part(tensor: &Tensor, first: usize, count: usize) -> Tensor {
    tensor.narrow(0, first, count).unwrap().contiguous().unwrap()
}

/// Random labels, all present.
pub fn labels(kind: &TaskKind, batch: usize, (height, width): (usize, usize)) -> Target {
    let mut stream = Seed::new(9).stream("labels", &[]);
    match kind.missing(batch, height, width) {
        Target::Class(cells) => Target::Class(cells.iter().map(|_| stream.below(kind.outputs()) as i32).collect()),
        Target::MultiLabel(cells) => Target::MultiLabel(cells.iter().map(|_| stream.below(2) as f32).collect()),
        Target::Mask(cells) => Target::Mask(cells.iter().map(|_| stream.below(kind.outputs()) as u8).collect()),
        Target::Dense(cells) => Target::Dense(cells.iter().map(|_| stream.uniform() as f32).collect()),
        Target::Value(cells) => Target::Value(cells.iter().map(|_| stream.uniform() as f32).collect()),
    }
}

/// The labels of some images of a batch.
pub fn labels_of(target: &Target, batch: usize, first: usize, count: usize) -> Target {
    fn cut<T: Copy>(cells: &[T], batch: usize, first: usize, count: usize) -> Vec<T> {
        let each = cells.len() / batch;
        cells[first * each..(first + count) * each].to_vec()
    }
    match target {
        Target::Class(cells) => Target::Class(cut(cells, batch, first, count)),
        Target::MultiLabel(cells) => Target::MultiLabel(cut(cells, batch, first, count)),
        Target::Mask(cells) => Target::Mask(cut(cells, batch, first, count)),
        Target::Dense(cells) => Target::Dense(cut(cells, batch, first, count)),
        Target::Value(cells) => Target::Value(cut(cells, batch, first, count)),
    }
}

/// The same labels without those at `hidden` (cells, row-major).
pub fn without(target: &Target, hidden: impl Fn(usize) -> bool) -> Target {
    fn hide<T: Copy>(cells: &[T], sentinel: T, hidden: impl Fn(usize) -> bool) -> Vec<T> {
        cells.iter().enumerate().map(|(at, &cell)| if hidden(at) { sentinel } else { cell }).collect()
    }
    match target {
        Target::Class(cells) => Target::Class(hide(cells, Target::NO_CLASS, hidden)),
        Target::MultiLabel(cells) => Target::MultiLabel(hide(cells, f32::NAN, hidden)),
        Target::Mask(cells) => Target::Mask(hide(cells, Target::NO_PIXEL, hidden)),
        Target::Dense(cells) => Target::Dense(hide(cells, f32::NAN, hidden)),
        Target::Value(cells) => Target::Value(hide(cells, f32::NAN, hidden)),
    }
}
