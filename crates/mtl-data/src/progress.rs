//! Progress of a long pass over a data set, for a bar on the screen.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Show = dyn Fn(&'static str, usize, usize) + Send + Sync;

/// Receives the name of a pass, the rows that are done and all rows, from any thread. Default: none.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Show>>);

impl Progress {
    /// Calls `show` after every row.
    pub fn new(show: impl Fn(&'static str, usize, usize) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(show)))
    }

    /// A pass over `rows` rows.
    pub(crate) fn pass(&self, name: &'static str, rows: usize) -> Pass<'_> {
        Pass { show: self.0.as_deref(), name, rows, done: AtomicUsize::new(0) }
    }
}

/// One pass.
pub(crate) struct Pass<'a> {
    show: Option<&'a Show>,
    name: &'static str,
    rows: usize,
    done: AtomicUsize,
}

impl Pass<'_> {
    /// One more row is done.
    pub(crate) fn tick(&self) {
        if let Some(show) = self.show {
            show(self.name, self.done.fetch_add(1, Ordering::Relaxed) + 1, self.rows);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// Two are equal: progress does not change the data that is read.
impl PartialEq for Progress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
