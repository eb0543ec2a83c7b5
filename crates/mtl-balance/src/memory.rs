//! What methods remember of each task, and how it is saved: one row of numbers a task.

use crate::{Error, State};

/// What is remembered of one task.
pub(crate) trait Memory: Sized {
    /// As it is saved.
    fn row(&self) -> Vec<f64>;

    /// From finite numbers; `None` if no [`Memory::row`] is like that.
    fn of(row: &[f64]) -> Option<Self>;
}

impl Memory for f64 {
    fn row(&self) -> Vec<f64> {
        vec![*self]
    }

    fn of(row: &[f64]) -> Option<Self> {
        if let [value] = *row { Some(value) } else { None }
    }
}

impl Memory for Vec<f64> {
    fn row(&self) -> Vec<f64> {
        self.clone()
    }

    fn of(row: &[f64]) -> Option<Self> {
        Some(row.to_vec())
    }
}

/// The mean of what was seen, older values counting less and less; from the first value on, without a start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DecayedMean {
    /// Decayed sum of the values.
    pub sum: f64,
    /// Decayed sum of ones.
    pub count: f64,
}

impl DecayedMean {
    /// `decay` is the share of what was seen before that is kept.
    pub(crate) fn see(&mut self, value: f64, decay: f64) {
        self.sum = decay * self.sum + (1.0 - decay) * value;
        self.count = decay * self.count + (1.0 - decay);
    }
}

impl Memory for DecayedMean {
    fn row(&self) -> Vec<f64> {
        vec![self.sum, self.count]
    }

    fn of(row: &[f64]) -> Option<Self> {
        match *row {
            [sum, count] if sum >= 0.0 && count >= 0.0 => Some(Self { sum, count }),
            _ => None,
        }
    }
}

/// For methods without memory: nothing to restore, and anything else is an error.
pub(crate) fn expect_no_state(method: &'static str, state: &State) -> Result<(), Error> {
    match state.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::State { method, problem: format!("it keeps none, but there is `{key}`") }),
    }
}

/// The key of a task's numbers in a [`State`].
fn task_key(task: &str) -> String {
    format!("task/{task}")
}

/// A state of one row a task, in the order of `tasks`: what [`read`] reads.
pub(crate) fn write<M: Memory>(tasks: &[String], memories: &[M]) -> State {
    tasks.iter().map(|task| task_key(task)).zip(memories.iter().map(Memory::row)).collect()
}

/// What is remembered of each task, in the order of `tasks`.
///
/// # Errors
/// A task without numbers, numbers of a task there is not, numbers that no memory is like, memories that are not accepted;
/// `other` names the keys that belong to no task.
pub(crate) fn read<M: Memory>(
    method: &'static str,
    tasks: &[String],
    other: &[&str],
    state: &State,
    accept: impl Fn(&M) -> bool,
) -> Result<Vec<M>, Error> {
    let problem = |problem: String| Error::State { method, problem };
    let keys: Vec<String> = tasks.iter().map(|task| task_key(task)).collect();
    if let Some(key) = state.keys().find(|key| !keys.contains(key) && !other.contains(&key.as_str())) {
        return Err(problem(format!("`{key}` belongs to no task of this run")));
    }
    let of_task = |key: &String| {
        let row = state.get(key).ok_or_else(|| problem(format!("`{key}` is missing")))?;
        let memory = Some(row).filter(|row| row.iter().all(|value| value.is_finite())).and_then(|row| M::of(row));
        memory.filter(&accept).ok_or_else(|| problem(format!("`{key}` = {row:?} is not what this method saves")))
    };
    keys.iter().map(of_task).collect()
}

/// The same of methods that remember a gradient a task, at the end of its row of `head` numbers: all are as long, but those of
/// tasks that were never seen are empty.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn read_with_gradients<M: Memory>(
    method: &'static str,
    tasks: &[String],
    head: usize,
    state: &State,
) -> Result<Vec<M>, Error> {
    let length = state.values().map(Vec::len).max().unwrap_or(0);
    match state.iter().find(|(_, row)| row.len() != head && row.len() != length) {
        None => read(method, tasks, &[], state, |_| true),
        Some((key, row)) => {
            let problem = format!("`{key}` has {} numbers, others {length}", row.len());
            Err(Error::State { method, problem })
        }
    }
}
