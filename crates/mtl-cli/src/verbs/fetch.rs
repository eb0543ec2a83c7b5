//! `mtl data fetch`: public data sets (feature `fetch`).

use crate::args::{Display, Fetch};
use crate::failure::Failure;

/// Lists the data sets, or downloads one.
#[cfg(feature = "fetch")]
pub fn run(args: &Fetch, display: Display) -> Result<(), Failure> {
    use mtl_hub::{Download, Error};

    use crate::output::{out, program};
    use crate::paths::quoted;
    use crate::render::table::columns;

    let failure = |error: Error| match error {
        Error::UnknownDataset(_) => Failure::Usage(error.to_string()),
        _ => Failure::other(error.to_string()),
    };
    let Some(name) = &args.name else {
        let row = |manifest: mtl_hub::Manifest| {
            let size = match manifest.size_bytes() {
                0 => "by hand".to_owned(),
                bytes => mtl_hub::mebibytes(bytes),
            };
            [manifest.name, size, format!("{}; licence: {}", manifest.what, manifest.licence)]
        };
        let rows = mtl_hub::datasets().map_err(failure)?;
        columns(rows.into_iter().map(row)).into_iter().try_for_each(|line| out(format_args!("{line}")))?;
        return Ok(());
    };
    let manifest = mtl_hub::dataset(name).map_err(failure)?;
    if !display.quiet {
        out(&manifest)?;
    }
    let mut download = Download::new(&manifest, &args.out);
    if let Some(archive) = &args.from {
        download = download.archive(archive);
    }
    let outcome = download.run(&mut progress::printer(display)).map_err(failure)?;
    let folder = quoted(&outcome.folder);
    if outcome.already_there {
        out(format_args!("{folder} exists already; remove it to download it again"))?;
    } else {
        out(format_args!("{} files in {folder}\nnext: {} data check {folder}", outcome.files, program()))?;
    }
    Ok(())
}

/// Explains how to get a program with downloads.
#[cfg(not(feature = "fetch"))]
pub fn run(args: &Fetch, _: Display) -> Result<(), Failure> {
    let name = args.name.as_deref().unwrap_or("NAME");
    Err(Failure::other(format!(
        "this program was built without downloads; build it with them:\n  \
         cargo run -p mtl-cli --features fetch -- data fetch {name}\n\
         or, in the repository: cargo xtask download {name}"
    )))
}

#[cfg(feature = "fetch")]
mod progress {
    use std::io::IsTerminal;
    use std::time::{Duration, Instant};

    use indicatif::{ProgressBar, ProgressStyle};
    use mtl_hub::Progress;

    use crate::args::Display;
    use crate::output::say;

    /// Time between two lines where there is no terminal.
    const LINE_EVERY: Duration = Duration::from_secs(5);

    /// A bar per file in a terminal, plain lines elsewhere.
    pub fn printer(display: Display) -> impl FnMut(Progress<'_>) {
        let bars = !display.plain && std::io::stderr().is_terminal();
        let mut bar: Option<ProgressBar> = None;
        let mut last = Instant::now();
        move |event| {
            if display.quiet {
                return;
            }
            let Progress::Received { file, bytes, total_bytes } = event else {
                if let Some(bar) = bar.take() {
                    bar.finish();
                }
                say(event);
                return;
            };
            let complete = bytes == total_bytes;
            if bars {
                let bar = bar.get_or_insert_with(|| new_bar(file, total_bytes));
                bar.set_position(bytes);
            } else if complete || last.elapsed() >= LINE_EVERY {
                last = Instant::now();
                say(event);
            }
            if complete && let Some(bar) = bar.take() {
                bar.finish();
            }
        }
    }

    fn new_bar(file: &str, total_bytes: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left");
        let bar = ProgressBar::new(total_bytes).with_message(file.to_owned());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(name: &str) -> String {
        let args = Fetch { name: Some(name.to_owned()), out: "nowhere".into(), from: None };
        match run(&args, Display::default()).unwrap_err() {
            Failure::Usage(message) | Failure::Other(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[cfg(feature = "fetch")]
    #[test]
    fn a_name_is_corrected_and_a_manual_download_explained() {
        let message = fetch("mnits");
        assert!(message.contains("did you mean `mnist`"), "{message}");
        let message = fetch("busi");
        assert!(message.contains("mtl data fetch busi --from Dataset_BUSI.zip"), "{message}");
    }

    #[cfg(not(feature = "fetch"))]
    #[test]
    fn without_downloads_the_way_to_them_is_shown() {
        let message = fetch("mnist");
        assert!(message.contains("--features fetch -- data fetch mnist"), "{message}");
    }
}
