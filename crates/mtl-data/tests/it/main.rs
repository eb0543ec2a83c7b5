//! Readers on generated folders and, if present, on real ones.

mod bad;
mod coco;
mod events;
mod folders;
mod formats;
mod fuzz;
mod inventory;
mod layouts;
mod numbers;
mod packed;
mod real;
mod table_paths;
mod tables;
mod variants;
