//! Whether there are enough training images for a run's generators, said before the first step of any stage.

use crate::data::Plan;
use crate::error::{Error, Result};

/// With fewer training images a generator mostly repeats them.
const FEW: usize = 100;
/// Fewest training images per class: of a single one there is nothing but a copy to learn.
const FEWEST_PER_CLASS: u64 = 2;

/// Warnings of a run with stages of generators. Generated images do not count. A class without any training image is no error: a
/// list of classes may hold more than a data set uses, and the other classes are learned without it.
///
/// # Errors
/// A class with a single training image.
pub(super) fn check(plan: &Plan) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let Some(generator) = plan.config.stages.of_generators().next() else { return Ok(warnings) };
    let rows: Vec<usize> = plan.real_training_rows().collect();
    if rows.len() < FEW {
        warnings.push(format!(
            "{} training images for generator `{generator}`: below {FEW}, generated images are mostly copies of training images, \
             and little can be said about their quality",
            rows.len()
        ));
    }
    let Some(task) = plan.schema.condition else { return Ok(warnings) };
    let counts = plan.inventory.class_counts(plan.columns[task], &rows);
    let task = &plan.schema.tasks[task];
    let classes = || task.kind.classes().iter().zip(&counts);
    let single: Vec<String> = classes()
        .filter(|(_, count)| (1..FEWEST_PER_CLASS).contains(count))
        .map(|(class, count)| format!("`{class}` has {count}"))
        .collect();
    if !single.is_empty() {
        return Err(Error::DataMismatch(format!(
            "generator `{generator}` is trained per class of task `{}` and needs at least {FEWEST_PER_CLASS} training images of each: \
             {}. Add images, leave the class out, name another task in model.condition_on, or train no generator \
             (stages.run=[\"joint\"])",
            task.name,
            single.join(", ")
        )));
    }
    let absent: Vec<&str> = classes().filter(|(_, count)| **count == 0).map(|(class, _)| class.as_str()).collect();
    if !absent.is_empty() {
        warnings.push(format!(
            "no training image of {} of the {} classes of task `{}`: generator `{generator}` does not learn {}",
            absent.len(),
            counts.len(),
            task.name,
            absent.join(", ")
        ));
    }
    Ok(warnings)
}
