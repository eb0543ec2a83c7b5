//! What a table says about a row besides its labels.

use std::sync::Arc;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedColumn {
    /// Its name.
    pub name: String,
    /// Whether its name is one that groups of rows usually have (`patient_id`, `subject` ...).
    pub names_groups: bool,
}

/// What a table says about a row besides its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowNotes {
    /// Whether the image was drawn by a model: such rows are for training only.
    pub generated: bool,
    columns: Arc<[NotedColumn]>,
    cells: Vec<Option<String>>,
}

impl RowNotes {
    /// The cells of a row, one per column.
    pub(crate) fn new(generated: bool, columns: Arc<[NotedColumn]>, cells: Vec<Option<String>>) -> Self {
        Self { generated, columns, cells }
    }

    /// The columns of the table, without that of the images.
    pub fn columns(&self) -> &[NotedColumn] {
        &self.columns
    }

    /// The row's cell in a column; `None` for a blank cell or an unknown column.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|known| known.name == column)?;
        self.cells.get(at)?.as_deref()
    }
}
