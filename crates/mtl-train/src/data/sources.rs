//! Runs on several folders: opening them, describing their share of the data, and checks of settings that need one source.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_data::concat::Component;
use mtl_data::split::Splits;
use mtl_data::{ConcatDataset, Dataset, MatchedDataset, OpenOptions, Sampling};
use mtl_model::Schema;
use mtl_task::{Task, TaskKind};
use mtl_tensor::layers::NormKind;

use super::labels::is_labelled;
use crate::config::{Config, Data, SourceFolder};
use crate::error::{Error, Result};

/// Opens every folder of `data.sources` and concatenates them.
///
/// # Errors
/// A folder that cannot be opened or is listed twice, folders that cannot be concatenated, `data.path` in addition to them.
pub(crate) fn open(data: &Data) -> Result<Arc<dyn Dataset>> {
    if let Some(path) = &data.path {
        let problem = "data.path is given too: give one; a further folder is a further entry of data.sources";
        return Err(Error::setting("data.sources", format!("{problem} (data.path = \"{}\")", path.display())));
    }
    for (at, source) in data.sources.iter().enumerate() {
        let same = |other: &SourceFolder| {
            let SourceFolder { path, tasks, rename, open, name: _ } = other;
            (path, tasks, rename, open) == (&source.path, &source.tasks, &source.rename, &source.open)
        };
        if data.sources[..at].iter().any(same) {
            let problem = "is listed twice and its images would count twice; name each folder once";
            return Err(Error::setting("data.sources", format!("{} {problem}", source.path.display())));
        }
    }
    let open = |folder: &SourceFolder, largest_value: Option<f32>| {
        let own = folder.open.as_ref().unwrap_or(&data.open);
        mtl_data::open(&folder.path, &OpenOptions { largest_value: largest_value.or(own.largest_value), ..own.clone() })
    };
    let mut opened = Vec::new();
    for folder in &data.sources {
        opened.push(open(folder, None)?);
    }
    one_depth_scale(data, &opened)?;
    // Images of more than 8 bits have one range in all folders, as they will in predictions.
    let range = opened.iter().filter_map(|dataset| dataset.largest_value()).reduce(f32::max);
    let mut sources = Vec::new();
    for (folder, mut dataset) in data.sources.iter().zip(opened) {
        if dataset.largest_value().is_some_and(|own| Some(own) != range) {
            dataset = open(folder, range)?;
        }
        sources.push(Component {
            name: folder.name.clone(),
            dataset: Arc::from(dataset),
            tasks: folder.tasks.clone(),
            rename: folder.rename.clone(),
        });
    }
    let together = ConcatDataset::new(sources).map_err(|error| match error {
        mtl_data::Error::Concat { problem } => {
            let entry = "A folder with settings of its own is an entry `[[data.sources]]` with its `path` in a configuration file";
            Error::setting("data.sources", format!("{problem}. {entry}"))
        }
        other => other.into(),
    })?;
    Ok(Arc::new(together))
}

/// The folders in a configuration.
pub(crate) fn folders(config: &Config) -> impl Iterator<Item = &PathBuf> {
    config.data.path.iter().chain(config.data.sources.iter().map(|source| &source.path))
}

/// Depth of the stored number 1 of the run's depth files: the same in all sources ([`one_depth_scale`]), where one without depth
/// maps may have the default.
pub(crate) fn depth_scale(config: &Config) -> f64 {
    let data = &config.data;
    if data.sources.is_empty() {
        return data.open.depth_scale;
    }
    data.sources.iter().map(|source| scale(data, source)).find(|&scale| scale != 1.0).unwrap_or(1.0)
}

fn scale(data: &Data, source: &SourceFolder) -> f64 {
    source.open.as_ref().unwrap_or(&data.open).depth_scale
}

/// Refuses sources whose depth maps are encoded differently: predictions are written in one encoding.
fn one_depth_scale(data: &Data, opened: &[Box<dyn Dataset>]) -> Result<()> {
    let is_depth = |task: &Task| matches!(&task.kind, TaskKind::Dense { unit } if unit != TaskKind::RELATIVE);
    let with_depth = opened.iter().map(|dataset| dataset.schema().tasks.iter().any(is_depth));
    let sources: Vec<(&SourceFolder, bool)> = data.sources.iter().zip(with_depth).collect();
    let Some((first, _)) = sources.iter().find(|(_, with_depth)| *with_depth) else { return Ok(()) };
    let known = scale(data, first);
    let differs = |(source, with_depth): &&(&SourceFolder, bool)| {
        let own = scale(data, source);
        own != known && (own != 1.0 || *with_depth)
    };
    let Some((other, _)) = sources.iter().find(differs) else { return Ok(()) };
    let problem = format!(
        "open.depth_scale is {known} for {} and {} for {}: predictions of depth are written in one encoding; store the depth maps \
         of both in one, and give both the same depth_scale",
        first.path.display(),
        scale(data, other),
        other.path.display()
    );
    Err(Error::setting("data.sources", problem))
}

/// Opens other data with a run's settings, for the tasks of its model. A folder that is one of its sources keeps the names of
/// that source; for any other folder the names of one of the sources are used if its tasks do not match otherwise.
///
/// # Errors
/// Data that cannot be opened, or has no label that the model knows.
pub(crate) fn open_like(config: &Config, schema: &Schema, path: &Path) -> Result<MatchedDataset> {
    let expected = Arc::new(expected(config, schema));
    let with = |options: &OpenOptions| {
        let (channels, expected) = (Some(schema.channels), Some(Arc::clone(&expected)));
        OpenOptions { channels, expected, ..options.clone() }
    };
    let same = |own: &Path| own == path || std::fs::canonicalize(path).is_ok_and(|path| own == path);
    let put = |source: &SourceFolder, dataset, tasks| {
        let (name, rename) = (source.name.clone(), source.rename.clone());
        let put = ConcatDataset::new(vec![Component { name, dataset, tasks, rename }])?;
        MatchedDataset::new(Arc::new(put), &schema.tasks)
    };
    if let Some(own) = config.data.sources.iter().find(|source| same(&source.path)) {
        let dataset = Arc::from(mtl_data::open(path, &with(own.open.as_ref().unwrap_or(&config.data.open)))?);
        return Ok(put(own, dataset, own.tasks.clone())?);
    }
    let other = open_with(path, &with(&config.data.open))?;
    MatchedDataset::new(Arc::clone(&other), &schema.tasks).or_else(|error| {
        let renamed = config.data.sources.iter().find_map(|source| put(source, Arc::clone(&other), None).ok());
        renamed.ok_or_else(|| error.into())
    })
}

/// The model's tasks, also by the names that they have in the run's sources.
fn expected(config: &Config, schema: &Schema) -> Vec<Task> {
    let mut tasks = schema.tasks.clone();
    for (own, here) in config.data.sources.iter().flat_map(|source| &source.rename) {
        let renamed = schema.tasks.iter().find(|task| task.name == *here);
        tasks.extend(renamed.map(|task| Task::new(own, task.kind.clone())));
    }
    tasks
}

/// The run's reader may not support the other folder.
fn open_with(path: &Path, options: &OpenOptions) -> Result<Arc<dyn Dataset>> {
    match mtl_data::open(path, options) {
        Ok(data) => Ok(Arc::from(data)),
        Err(error) if options.reader.is_some() => {
            let free = OpenOptions { reader: None, ..options.clone() };
            mtl_data::open(path, &free).map(Arc::from).map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Data, tasks and split of a run, for a description.
pub(crate) struct Described<'a> {
    pub dataset: &'a dyn Dataset,
    pub columns: &'a [usize],
    pub tasks: &'a [Task],
    pub split: &'a Splits,
}

impl Described<'_> {
    /// One sentence per source, if there are several, and a warning if a balancer that compares the tasks' gradients
    /// (`comparing`, its name) never gets those of two tasks in one batch.
    pub(crate) fn notes(&self, sampling: Sampling, comparing: Option<&str>) -> Vec<String> {
        let Self { dataset, columns, tasks, split } = *self;
        let names = dataset.origins();
        if names.len() < 2 {
            return Vec::new();
        }
        let subsets = [&split.train, &split.validation, &split.test].map(|rows| rows_of(dataset, rows));
        let shares = sampling.shares(&subsets[0]);
        let mut labels = vec![vec![0; tasks.len()]; names.len()];
        let mut rows = vec![0; names.len()];
        for row in 0..dataset.len() {
            let source = dataset.origin(row);
            rows[source] += 1;
            let of_row = dataset.labels(row);
            for (count, &column) in labels[source].iter_mut().zip(columns) {
                *count += usize::from(is_labelled(&of_row[column]));
            }
        }
        let describe = |source: usize| {
            let own: Vec<String> = tasks
                .iter()
                .zip(&labels[source])
                .filter(|(_, count)| **count > 0)
                .map(|(task, count)| format!("{} {count}", task.name))
                .collect();
            let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
            format!(
                "source {}: {} images ({} training, {} validation, {} test), labels: {own}; {:.1} % of the training samples ({})",
                names[source],
                rows[source],
                subsets[0][source],
                subsets[1][source],
                subsets[2][source],
                100.0 * shares[source],
                sampling.name()
            )
        };
        let meet = |a: usize, b: usize| labels.iter().any(|of| of[a] > 0 && of[b] > 0);
        let apart = (0..tasks.len()).flat_map(|a| (0..a).map(move |b| (b, a))).find(|&(a, b)| !meet(a, b));
        let warning = match (sampling, comparing, apart) {
            (Sampling::RoundRobin {}, Some(balancer), Some((a, b))) => Some(format!(
                "no batch has labels of both `{}` and `{}` (data.sampling = round_robin): balancer `{balancer}` will never compare \
             their gradients; data.sampling = uniform mixes the sources in every batch",
                tasks[a].name, tasks[b].name
            )),
            _ => None,
        };
        (0..names.len()).map(describe).chain(warning).collect()
    }
}

/// Rows of each source.
fn rows_of(dataset: &dyn Dataset, rows: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; dataset.origins().len()];
    rows.iter().for_each(|&row| counts[dataset.origin(row)] += 1);
    counts
}

/// Checks that no image is normalised by the images of another source.
///
/// # Errors
/// Batch normalisation in the joint stage, if it trains on several sources. Later stages use running statistics.
pub(crate) fn check_normalisation(
    config: &Config,
    tasks: &[Task],
    dataset: &dyn Dataset,
    split: &Splits,
) -> Result<()> {
    let names = dataset.origins();
    let counts = rows_of(dataset, &split.train);
    let trained: Vec<String> =
        names.into_iter().zip(counts).filter(|(_, rows)| *rows > 0).map(|(name, _)| name).collect();
    if trained.len() < 2 || !config.runs_joint() {
        return Ok(());
    }
    let mut settings = Vec::new();
    if config.model.trunk.norm() == Some(NormKind::Batch) {
        settings.push(format!("model.trunk.{}.norm=group", config.model.trunk.name()));
    }
    for task in tasks {
        let head = config.model().head(task);
        if head.norm() == Some(NormKind::Batch) {
            settings.push(format!("heads.{}.{}.norm=group", task.name, head.name()));
        }
    }
    if settings.is_empty() {
        return Ok(());
    }
    Err(Error::BatchNormOverSources { sources: trained, settings })
}
