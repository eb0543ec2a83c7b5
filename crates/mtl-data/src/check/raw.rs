//! A report on a folder that no reader opens: its image files, decoded one by one.

use std::path::Path;

use rayon::prelude::*;

use super::{Report, sizes};
use crate::error::{Error, Skipped};
use crate::image::decode;
use crate::readers;
use crate::reading::Reading;
use crate::size::Size;

/// All image files below a folder that no reader opens.
pub(super) fn report(path: &Path) -> Report {
    let files = readers::images_below(path).unwrap_or_default();
    let stats: Vec<Result<Size, Skipped>> = files
        .par_iter()
        .map(|file| {
            let image = decode::read_file(file).and_then(|bytes| {
                decode::decode(&bytes).map_err(|problem| Error::Image { path: file.clone(), problem })
            });
            image.map(|image| decode::size_of(&image)).map_err(|error| Skipped {
                path: file.clone(),
                reason: match error {
                    Error::Image { problem, .. } => problem.to_string(),
                    other => other.to_string(),
                },
            })
        })
        .collect();
    Report {
        name: path.display().to_string(),
        sizes: sizes(stats.iter().flatten().copied().collect()),
        reading: Reading {
            guesses: match files.len() {
                0 => Vec::new(),
                count => vec![format!("{count} image files were found and decoded one by one")],
            },
            ..Reading::default()
        },
        broken: stats.into_iter().filter_map(Result::err).collect(),
        ..Report::default()
    }
}
