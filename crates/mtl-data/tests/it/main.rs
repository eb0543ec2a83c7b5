//! Readers on generated folders and, if present, on real ones.

mod arranged;
mod bad;
mod beside_tables;
mod cases;
mod channels;
mod class_lists;
mod coco;
mod columns;
mod concerns;
mod doubtful_columns;
mod events;
mod folders;
mod formats;
mod fuzz;
mod groups;
mod inventory;
mod layouts;
mod masks;
mod matched;
mod numbers;
mod packed;
mod pairing;
#[cfg(feature = "parquet")]
mod parquet;
mod real;
mod subset_tables;
mod subsets;
mod suspects;
mod table_paths;
mod tables;
mod variants;
