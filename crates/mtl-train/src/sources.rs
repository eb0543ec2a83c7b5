//! The folders of a run that has several: opening them, what each brings, and what cannot be learnt on a mixture.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_data::sources::Source;
use mtl_data::split::Split;
use mtl_data::{Dataset, Mixing, OpenOptions, Sources};
use mtl_task::Task;
use mtl_tensor::layers::NormKind;

use crate::config::{Config, Data, SourceFolder, Stage};
use crate::error::{Error, Result};
use crate::evaluate::match_tasks;
use crate::plan::{RunSchema, is_labelled};

/// Opens every folder of `data.sources`, and puts them together.
///
/// # Errors
/// A folder that cannot be opened, one that is named twice, folders that do not go together, `data.path` beside them.
pub(crate) fn open(data: &Data) -> Result<Arc<dyn Dataset>> {
    if let Some(path) = &data.path {
        return Err(Error::Config(format!(
            "data.path = \"{}\" and data.sources are both given: give one; a further folder is a further entry of \
             data.sources",
            path.display()
        )));
    }
    for (at, source) in data.sources.iter().enumerate() {
        let same = |other: &SourceFolder| {
            let SourceFolder { path, tasks, rename, open, name: _ } = other;
            (path, tasks, rename, open) == (&source.path, &source.tasks, &source.rename, &source.open)
        };
        if data.sources[..at].iter().any(same) {
            let problem = "its images would count twice; name each folder once";
            return Err(Error::Config(format!("data.sources holds {} twice: {problem}", source.path.display())));
        }
    }
    let mut sources = Vec::new();
    for folder in &data.sources {
        sources.push(Source {
            name: folder.name.clone(),
            dataset: Arc::from(mtl_data::open(&folder.path, folder.open.as_ref().unwrap_or(&data.open))?),
            tasks: folder.tasks.clone(),
            rename: folder.rename.clone(),
        });
    }
    let together = Sources::new(sources).map_err(|error| match error {
        mtl_data::Error::Sources { problem } => Error::Config(format!(
            "data.sources: {problem}. A folder with settings of its own is an entry `[[data.sources]]` with its `path` in a \
             file for --config"
        )),
        other => other.into(),
    })?;
    Ok(Arc::new(together))
}

/// The folders a configuration names.
pub(crate) fn folders(config: &Config) -> impl Iterator<Item = &PathBuf> {
    config.data.path.iter().chain(config.data.sources.iter().map(|source| &source.path))
}

/// Opens other data as a run's own was: a folder that is one of its sources under the same names; any other so that its
/// tasks are found, under the names of one of the sources if need be.
///
/// # Errors
/// Data that cannot be opened.
pub(crate) fn open_like(config: &Config, schema: &RunSchema, path: &Path) -> Result<Arc<dyn Dataset>> {
    let with = |options: &OpenOptions| OpenOptions { channels: Some(schema.channels), ..options.clone() };
    let same = |own: &Path| own == path || std::fs::canonicalize(path).is_ok_and(|path| own == path);
    let put = |source: &SourceFolder, dataset, tasks| {
        let (name, rename) = (source.name.clone(), source.rename.clone());
        Sources::new(vec![Source { name, dataset, tasks, rename }])
    };
    if let Some(own) = config.data.sources.iter().find(|source| same(&source.path)) {
        let dataset = Arc::from(mtl_data::open(path, &with(own.open.as_ref().unwrap_or(&config.data.open)))?);
        return Ok(Arc::new(put(own, dataset, own.tasks.clone())?));
    }
    let other = open_with(path, &with(&config.data.open))?;
    if match_tasks(&schema.tasks, &*other).is_err() {
        for source in &config.data.sources {
            if let Ok(renamed) = put(source, Arc::clone(&other), None)
                && match_tasks(&schema.tasks, &renamed).is_ok()
            {
                return Ok(Arc::new(renamed));
            }
        }
    }
    Ok(other)
}

/// A reader named for the run need not fit the other folder.
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

/// What each source brings, a sentence each; nothing where there is one. And a warning where a balancer that compares the tasks'
/// gradients (`comparing`, its name) will never see those of some tasks in one batch.
pub(crate) fn told(
    dataset: &dyn Dataset,
    (columns, tasks): (&[usize], &[Task]),
    split: &Split,
    mixing: Mixing,
    comparing: Option<&str>,
) -> Vec<String> {
    let names = dataset.sources();
    if names.len() < 2 {
        return Vec::new();
    }
    let sides = [&split.train, &split.validation, &split.test].map(|rows| rows_of(dataset, rows));
    let shares = mixing.shares(&sides[0]);
    let mut labels = vec![vec![0; tasks.len()]; names.len()];
    let mut rows = vec![0; names.len()];
    for row in 0..dataset.len() {
        let source = dataset.source(row);
        rows[source] += 1;
        let of_row = dataset.labels(row);
        for (count, &column) in labels[source].iter_mut().zip(columns) {
            *count += usize::from(is_labelled(&of_row[column]));
        }
    }
    let told = |source: usize| {
        let own: Vec<String> = tasks
            .iter()
            .zip(&labels[source])
            .filter(|(_, count)| **count > 0)
            .map(|(task, count)| format!("{} {count}", task.name))
            .collect();
        let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
        format!(
            "source {}: {} images ({} training, {} validation, {} test), labels: {own}; {:.1} % of what is trained on ({})",
            names[source],
            rows[source],
            sides[0][source],
            sides[1][source],
            sides[2][source],
            100.0 * shares[source],
            mixing.name()
        )
    };
    let meet = |a: usize, b: usize| labels.iter().any(|of| of[a] > 0 && of[b] > 0);
    let apart = (0..tasks.len()).flat_map(|a| (0..a).map(move |b| (b, a))).find(|&(a, b)| !meet(a, b));
    let warning = match (mixing, comparing, apart) {
        (Mixing::RoundRobin {}, Some(balancer), Some((a, b))) => Some(format!(
            "no batch has labels of both `{}` and `{}` (data.mixing = round_robin): balancer `{balancer}` will never compare \
             their gradients; data.mixing = uniform mixes the sources in every batch",
            tasks[a].name, tasks[b].name
        )),
        _ => None,
    };
    (0..names.len()).map(told).chain(warning).collect()
}

/// Rows of each source.
fn rows_of(dataset: &dyn Dataset, rows: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; dataset.sources().len()];
    rows.iter().for_each(|&row| counts[dataset.source(row)] += 1);
    counts
}

/// That no image is normalised by the images of another source.
///
/// # Errors
/// Batch normalisation in what the joint stage trains, where that learns from several sources. Stages after it take
/// running statistics as they are.
pub(crate) fn check_normalisation(config: &Config, tasks: &[Task], dataset: &dyn Dataset, split: &Split) -> Result<()> {
    let names = dataset.sources();
    let counts = rows_of(dataset, &split.train);
    let trained: Vec<&str> = names.iter().zip(counts).filter(|(_, rows)| *rows > 0).map(|(name, _)| &**name).collect();
    if trained.len() < 2 || !config.stages.contains(&Stage::Joint) {
        return Ok(());
    }
    let mut settings = Vec::new();
    if config.model.trunk.norm() == Some(NormKind::Batch) {
        settings.push(format!("model.trunk.{}.norm=group", config.model.trunk.name()));
    }
    for task in tasks {
        let head = config.heads.get(&task.name).cloned().unwrap_or_else(|| mtl_heads::Config::for_task(&task.kind));
        if head.norm() == Some(NormKind::Batch) {
            settings.push(format!("heads.{}.{}.norm=group", task.name, head.name()));
        }
    }
    if settings.is_empty() {
        return Ok(());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=');
    let quoted = |text: &String| if text.chars().all(plain) { text.clone() } else { format!("'{text}'") };
    let settings: Vec<String> = settings.iter().map(quoted).collect();
    Err(Error::Config(format!(
        "batch normalisation cannot learn from {} sources ({}): its statistics are those of a whole batch, so each image would \
         be normalised by images of other sources, and the averages it keeps for later would be those of none. Group \
         normalisation takes its statistics from each image alone: --set {}",
        trained.len(),
        trained.join(", "),
        settings.join(" ")
    )))
}
