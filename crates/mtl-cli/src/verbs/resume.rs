//! `mtl resume`: goes on where a run was stopped.

use mtl_train::event::Observer;

use crate::args::{Display, Resume};
use crate::failure::{Failure, must_exist};
use crate::interrupt;
use crate::screen::Screen;

/// Continues the run, and shows the scores at the end.
pub fn run(args: &Resume, display: Display) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    let mut screen = Screen::new(display, args.json);
    let stop = interrupt::flag(screen.console())?;
    let result = mtl_train::resume(&args.run, &mut [&mut screen as &mut dyn Observer], &stop);
    screen.close(result)
}
