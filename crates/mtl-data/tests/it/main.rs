//! Readers on generated folders and, if present, on real ones.

mod bad;
mod concerns;
mod events;
mod folders;
mod formats;
mod groups;
mod inventory;
mod layouts;
mod matched;
mod packed;
mod real;
mod table_paths;
mod tables;
