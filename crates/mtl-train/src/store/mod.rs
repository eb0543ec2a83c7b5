//! The files of a run: its folder, checkpoints, logs, `schema.json`, `result.json`, and a run loaded from them.

pub mod atomic;
pub mod checkpoint;
pub(crate) mod environment;
mod json;
mod loaded_run;
pub(crate) mod log;
pub mod run_dir;

pub use environment::built_from;
pub use json::read_record;
pub(crate) use json::{read_schema, write_record, write_schema};
pub use loaded_run::{LoadedRun, open_device, read_config};
