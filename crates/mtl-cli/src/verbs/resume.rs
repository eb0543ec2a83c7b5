//! `mtl resume`: continues an interrupted run.

use mtl_train::event::Observer;

use crate::args::Resume;
use crate::failure::Failure;
use crate::interrupt;
use crate::logging::RunLog;
use crate::paths::must_exist;
use crate::screen::{Console, Screen};

/// Continues the run and prints its scores.
pub fn run(args: &Resume, console: Console, log: &mut RunLog) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    for dir in &args.data {
        must_exist(dir, "folder").map_err(Failure::Data)?;
    }
    let mut screen = Screen::new(console, args.json);
    let stop = interrupt::flag(screen.console())?;
    let result = mtl_train::resume_moved(&args.run, &args.data, &mut [&mut screen as &mut dyn Observer, log], &stop);
    screen.close(result)
}
