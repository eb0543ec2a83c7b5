//! Readers on generated folders and, if present, on real ones.

mod bad;
mod events;
mod folders;
mod formats;
mod inventory;
mod layouts;
mod numbers;
mod packed;
mod real;
mod table_paths;
mod tables;
