//! Files to predict: single images, folders of them, and patterns such as `scans/*.png`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mtl_data::Reading;

use crate::error::{Error, Result};

/// Words that are joined with spaces in search of a path that was given without quotes.
const LONGEST_PATH: usize = 12;

/// An image file, and the name of its results.
pub(super) struct Input {
    pub image: PathBuf,
    /// Path below the folder of results, without extension; no two alike.
    pub place: PathBuf,
}

/// The files of a list of paths.
pub(super) struct Inputs {
    pub images: Vec<Input>,
    /// Paths that lead to no image, each with the reason.
    pub failed: Vec<(PathBuf, Error)>,
    /// Files in folders that are no images, by reason; what was given twice.
    pub reading: Reading,
}

impl Inputs {
    /// Looks for the images: folders with all folders below them, patterns (`*`, `?`, `[ab]`, `**`) and files.
    ///
    /// # Errors
    /// Folders that cannot be read.
    pub(super) fn find(given: &[PathBuf]) -> Result<Self> {
        let (mut files, mut failed, mut reading) = (Vec::new(), Vec::new(), Reading::default());
        for (at, path) in given.iter().enumerate() {
            if path.is_dir() {
                let found = mtl_data::images_in(path, &mut reading)?;
                if found.is_empty() {
                    failed.push((path.clone(), no_image(path, "the folder and those below it hold no image")));
                }
                files.extend(found);
            } else if path.exists() {
                files.push(path.clone());
            } else if let Some(matches) = pattern(path) {
                match matches {
                    Ok(Matches { paths, unreadable }) => {
                        if paths.is_empty() && unreadable.is_empty() {
                            failed.push((path.clone(), no_image(path, "no file matches this pattern")));
                        }
                        for path in paths {
                            files.extend(mtl_data::images_in(&path, &mut reading)?);
                        }
                        failed.extend(unreadable.into_iter().map(|(path, reason)| {
                            let error = no_image(&path, &reason);
                            (path, error)
                        }));
                    }
                    Err(problem) => failed.push((path.clone(), no_image(path, &problem))),
                }
            } else {
                let reason = unquoted(given, at).map_or_else(
                    || "no such file".to_owned(),
                    |whole| format!("no such file; put quotes around a name with spaces: '{}'", whole.display()),
                );
                failed.push((path.clone(), no_image(path, &reason)));
            }
        }
        let (mut images, mut seen, mut repeated) = (Vec::new(), BTreeSet::new(), 0);
        for file in files {
            if seen.insert(std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                images.push(file);
            } else {
                repeated += 1;
            }
        }
        if repeated > 0 {
            let files = if repeated == 1 { "1 file is" } else { &format!("{repeated} files are") };
            reading.guess(format!("{files} given more than once: predicted once"));
        }
        Ok(Self { images: places(images), failed, reading })
    }
}

fn no_image(path: &Path, reason: &str) -> Error {
    Error::NoImage { path: path.to_owned(), reason: reason.to_owned() }
}

/// What a pattern matches.
struct Matches {
    paths: Vec<PathBuf>,
    /// Folders that could not be looked into, with the reason.
    unreadable: Vec<(PathBuf, String)>,
}

/// The files and folders that match a path with wildcards; `None` for a path without any.
fn pattern(path: &Path) -> Option<std::result::Result<Matches, String>> {
    let text = path.to_str().filter(|text| text.contains(['*', '?', '[']))?;
    let found = match glob::glob(text) {
        Ok(found) => found,
        Err(error) => return Some(Err(format!("no such file, and no pattern either: {error}"))),
    };
    let mut matches = Matches { paths: Vec::new(), unreadable: Vec::new() };
    for path in found {
        match path {
            // `**` names a folder and the files in it: a folder alone would count them twice.
            Ok(path) if text.contains("**") && path.is_dir() => {}
            Ok(path) => matches.paths.push(path),
            Err(error) => matches.unreadable.push((error.path().to_owned(), error.error().to_string())),
        }
    }
    matches.paths.sort();
    Some(Ok(matches))
}

/// The path that the words around `at` are if they were one name with spaces.
fn unquoted(given: &[PathBuf], at: usize) -> Option<PathBuf> {
    let longest = given.len().min(LONGEST_PATH);
    let joined = |from: usize, to: usize| {
        let words: Option<Vec<&str>> = given[from..to].iter().map(|path| path.to_str()).collect();
        words.map(|words| PathBuf::from(words.join(" ")))
    };
    let ranges = (2..=longest).flat_map(|count| (0..=given.len() - count).map(move |from| (from, from + count)));
    ranges
        .filter(|(from, to)| (*from..*to).contains(&at))
        .find_map(|(from, to)| joined(from, to).filter(|path| path.exists()))
}

/// Names of results: the paths below the deepest folder that holds all images. Where two differ in their extension only, the
/// second gets a number.
fn places(images: Vec<PathBuf>) -> Vec<Input> {
    // Without `..`, which would lead out of the folder of results; a link keeps its own name.
    let whole = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.join(path.file_name().unwrap_or_default())
    };
    let mut above: Option<PathBuf> = None;
    for image in &images {
        let folder = whole(image).parent().map(Path::to_path_buf).unwrap_or_default();
        above = Some(match above {
            None => folder,
            Some(above) => {
                folder.ancestors().find(|part| above.starts_with(part)).map(Path::to_path_buf).unwrap_or_default()
            }
        });
    }
    let above = above.unwrap_or_default();
    // Some systems take names for equal that differ in upper and lower case only.
    let key = |place: &Path| place.to_string_lossy().to_lowercase();
    let natural = |image: &Path| {
        let image = whole(image).with_extension("");
        image.strip_prefix(&above).map(Path::to_path_buf).unwrap_or(image)
    };
    let mut taken: BTreeSet<String> = images.iter().map(|image| key(&natural(image))).collect();
    let mut first: BTreeSet<String> = BTreeSet::new();
    images
        .into_iter()
        .map(|image| {
            let mut place = natural(&image);
            if !first.insert(key(&place)) {
                let stem = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let numbered = (2..).map(|number| place.with_file_name(format!("{stem}-{number}")));
                let free = numbered.into_iter().find(|place| !taken.contains(&key(place)));
                place = free.unwrap_or(place.clone());
                taken.insert(key(&place));
            }
            Input { image, place }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::new(2, 2).save_with_format(&path, image::ImageFormat::Png).unwrap();
        path
    }

    fn found(given: &[PathBuf]) -> (Vec<String>, Vec<String>) {
        let inputs = Inputs::find(given).unwrap();
        let places = inputs.images.iter().map(|input| input.place.display().to_string());
        (places.collect(), inputs.failed.iter().map(|(_, error)| error.to_string()).collect())
    }

    #[test]
    fn names_of_results_are_paths_below_the_common_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["a/x.png", "a/b/x.png", "c/x.jpg", "c/x.png", "c/x-2.png", "c/notes.txt.png"] {
            touch(root, name);
        }
        std::fs::write(root.join("c/notes.txt"), "words").unwrap();
        let (places, failed) = found(&[root.to_owned()]);
        assert_eq!(places, ["a/x", "a/b/x", "c/notes.txt", "c/x-2", "c/x", "c/x-3"]);
        assert!(failed.is_empty());
        assert_eq!(found(&[root.join("a/x.png")]).0, ["x"]);
        assert_eq!(found(&[root.join("a/b/../../c/x.png"), root.join("a/x.png")]).0, ["c/x", "a/x"]);
        assert_eq!(found(&[root.join("a/x.png"), root.join("c/x.png"), root.join("c")]).0.len(), 5);
    }

    #[test]
    fn patterns_and_paths_that_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["scans/1.png", "scans/2.png", "scans/deep/3.png", "my photo.png", "odd[1].png"] {
            touch(root, name);
        }
        std::fs::create_dir(root.join("empty")).unwrap();
        assert_eq!(found(&[root.join("scans/*.png")]).0, ["1", "2"]);
        assert_eq!(found(&[root.join("scans/**/*.png")]).0, ["1", "2", "deep/3"]);
        assert_eq!(found(&[root.join("odd[1].png")]).0, ["odd[1]"]);
        let (places, failed) =
            found(&[root.join("my"), "photo.png".into(), root.join("scans/*.bmp"), root.join("empty")]);
        assert!(places.is_empty());
        for (words, expected) in
            failed.iter().zip(["put quotes around", "put quotes around", "no file matches", "hold no image"])
        {
            assert!(words.contains(expected), "{words}");
        }
        assert_eq!(failed.len(), 4);
    }
}
