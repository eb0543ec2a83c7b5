//! Matching of a model's tasks with those of another data set.

use mtl_data::Dataset;
use mtl_task::{Task, TaskKind};

use crate::error::{Error, Result};

/// Position of each of the model's tasks in another data set's targets: by name, with the same classes in the same order.
///
/// # Errors
/// No task in common, or one of the same name with other classes.
pub fn match_tasks(tasks: &[Task], other: &dyn Dataset) -> Result<Vec<Option<usize>>> {
    let theirs = &other.schema().tasks;
    let mut columns = Vec::new();
    for task in tasks {
        let at = theirs.iter().position(|their| their.name == task.name);
        if let Some(at) = at
            && theirs[at].kind != task.kind
        {
            let words = |kind: &TaskKind| match kind {
                TaskKind::Dense { unit } | TaskKind::Regression { unit } => format!("{} in \"{unit}\"", kind.name()),
                _ => format!("{} with {:?}", kind.name(), kind.classes()),
            };
            let problem = format!(
                "task `{}` is {} in the model and {} in the data; the two must be the same to be scored",
                task.name,
                words(&task.kind),
                words(&theirs[at].kind)
            );
            return Err(Error::DataMismatch(problem));
        }
        columns.push(at);
    }
    if columns.iter().all(Option::is_none) {
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let problem = format!("the data labels none of the model's tasks ({})", names.join(", "));
        return Err(Error::DataMismatch(problem));
    }
    Ok(columns)
}
