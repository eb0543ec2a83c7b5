//! State that methods keep per task: one row of numbers per task in a [`State`].

use crate::{Error, State};

/// State of one task.
pub(crate) trait TaskState: Sized {
    /// The numbers to save.
    fn to_row(&self) -> Vec<f64>;

    /// From finite numbers; `None` if no [`TaskState::to_row`] has this form.
    fn from_row(row: &[f64]) -> Option<Self>;
}

impl TaskState for f64 {
    fn to_row(&self) -> Vec<f64> {
        vec![*self]
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        if let [value] = *row { Some(value) } else { None }
    }
}

impl TaskState for Vec<f64> {
    fn to_row(&self) -> Vec<f64> {
        self.clone()
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        Some(row.to_vec())
    }
}

/// Exponential moving average without bias towards a start value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DecayedMean {
    /// Decayed sum of the values.
    pub sum: f64,
    /// Decayed sum of ones.
    pub count: f64,
}

impl DecayedMean {
    /// Adds a value; `decay` is the share of the earlier values that is kept.
    pub(crate) fn add(&mut self, value: f64, decay: f64) {
        self.sum = decay * self.sum + (1.0 - decay) * value;
        self.count = decay * self.count + (1.0 - decay);
    }
}

impl TaskState for DecayedMean {
    fn to_row(&self) -> Vec<f64> {
        vec![self.sum, self.count]
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        match *row {
            [sum, count] if sum >= 0.0 && count >= 0.0 => Some(Self { sum, count }),
            _ => None,
        }
    }
}

/// `restore` of stateless methods.
///
/// # Errors
/// A state that is not empty.
pub(crate) fn expect_no_state(method: &'static str, state: &State) -> Result<(), Error> {
    match state.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::State { method, problem: format!("it has no state, but `{key}` is given") }),
    }
}

/// The key of a task's numbers in a [`State`].
fn task_key(task: &str) -> String {
    format!("task/{task}")
}

/// A state of one row per task, in the order of `tasks`; [`read`] is the inverse.
pub(crate) fn write<S: TaskState>(tasks: &[String], states: &[S]) -> State {
    tasks.iter().map(|task| task_key(task)).zip(states.iter().map(S::to_row)).collect()
}

/// The state of each task, in the order of `tasks`.
///
/// # Errors
/// A task without numbers, numbers of an unknown task, numbers of another form, states that are not accepted. `other` lists the keys
/// that belong to no task.
pub(crate) fn read<S: TaskState>(
    method: &'static str,
    tasks: &[String],
    other: &[&str],
    state: &State,
    accept: impl Fn(&S) -> bool,
) -> Result<Vec<S>, Error> {
    let problem = |problem: String| Error::State { method, problem };
    let keys: Vec<String> = tasks.iter().map(|task| task_key(task)).collect();
    if let Some(key) = state.keys().find(|key| !keys.contains(key) && !other.contains(&key.as_str())) {
        return Err(problem(format!("`{key}` belongs to no task of this run")));
    }
    let of_task = |key: &String| {
        let row = state.get(key).ok_or_else(|| problem(format!("`{key}` is missing")))?;
        let found = Some(row).filter(|row| row.iter().all(|value| value.is_finite())).and_then(|row| S::from_row(row));
        found.filter(&accept).ok_or_else(|| problem(format!("`{key}` = {row:?} is not a state of this method")))
    };
    keys.iter().map(of_task).collect()
}

/// [`read`] for methods that keep one gradient per task, after `head` numbers in its row: all gradients have the same length,
/// or length 0 before the task's first step.
///
/// # Errors
/// Those of [`read`]; gradients of different lengths.
pub(crate) fn read_with_gradients<S: TaskState>(
    method: &'static str,
    tasks: &[String],
    head: usize,
    state: &State,
) -> Result<Vec<S>, Error> {
    let length = state.values().map(Vec::len).max().unwrap_or(0);
    match state.iter().find(|(_, row)| row.len() != head && row.len() != length) {
        None => read(method, tasks, &[], state, |_| true),
        Some((key, row)) => {
            let problem = format!("`{key}` has {} numbers, others {length}", row.len());
            Err(Error::State { method, problem })
        }
    }
}

/// Checks the gradients kept of earlier steps against those of this step, which have `length` numbers.
///
/// # Errors
/// Another length, other than 0: the state belongs to a model with other shared parameters.
pub(crate) fn check_length<'a>(
    method: &'static str,
    kept: impl IntoIterator<Item = &'a Vec<f64>>,
    length: usize,
) -> Result<(), Error> {
    match kept.into_iter().find(|kept| !kept.is_empty() && kept.len() != length) {
        None => Ok(()),
        Some(kept) => {
            let problem =
                format!("it holds gradients of {} numbers, the gradients of this step have {length}", kept.len());
            Err(Error::State { method, problem })
        }
    }
}
