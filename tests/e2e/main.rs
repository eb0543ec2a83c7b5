//! The built program from outside: what is typed, what comes back, which files are there, which exit code.
//!
//! Every test has a folder of its own, draws its own pictures, and trains the smallest networks there are for a few
//! steps.

mod damage;
mod full_disk;
mod interruption;
mod job;
mod killing;
mod mistakes;
mod pictures;
mod program;
mod words;
