//! The built program: command lines, output, files and exit codes.
//!
//! Every test has its own folder and pictures, and trains the smallest networks for a few steps.

mod compare;
mod damage;
mod full_disk;
mod interruption;
mod job;
mod killing;
mod logging;
mod mistakes;
mod net;
mod pictures;
mod program;
mod settings;
mod snapshot;
mod snapshots;
mod words;
