//! Readers on generated folders and, where they are at hand, on real ones.

mod bad;
mod folders;
mod packed;
mod real;
