//! The files that the cells of a table name: as written, and where that is no file, with what commonly differs.
//!
//! `\` between folders, a leading `/`, the Unicode form, upper and lower case, a missing extension, a folder such as
//! `images/` that the cell leaves out, the beginning of a path from another machine. Every difference is counted and said.
//! Names that fit several files equally well fit none.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::super::names::{plain, subset_named};
use super::super::walk;
use crate::dataset::Subset;
use crate::reading::Reading;

/// Extensions that a cell may leave out.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "jfif"];
/// Folders that the cells of images leave out, the usual ones first; then any other folder.
const IMAGE_FOLDERS: [&str; 8] = ["images", "image", "train", "img", "imgs", "trainimages", "test", "testimages"];
/// Other folders that are looked into.
const MAX_OTHERS: usize = 8;
/// The same for masks and depth maps; no other folder is looked into.
const LABEL_FOLDERS: [&str; 8] =
    ["masks", "mask", "segmentations", "segmentation", "annotations", "labels", "depth", "depths"];

/// What a cell names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    /// A mask or a depth map.
    Label,
}

/// How a cell differs from the path of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Differs {
    backslash: bool,
    from_root: bool,
    unicode: bool,
    case: bool,
    extension: Option<String>,
    folder: Option<String>,
}

/// The files of one folder.
#[derive(Default)]
struct Listing {
    /// Actual names by their composed form, and by that in lower case.
    composed: HashMap<String, Vec<String>>,
    lower: HashMap<String, Vec<String>>,
    /// Image files by their composed name without extension.
    stems: HashMap<String, Vec<String>>,
}

impl Listing {
    fn read(folder: &Path) -> Self {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut listing = Self::default();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let composed: String = name.nfc().collect();
            if let Some((stem, end)) = composed.rsplit_once('.')
                && is_extension(end)
            {
                listing.stems.entry(stem.to_owned()).or_default().push(name.clone());
            }
            listing.lower.entry(composed.to_lowercase()).or_default().push(name.clone());
            listing.composed.entry(composed).or_default().push(name);
        }
        listing
    }

    /// The file or folder with this name, if it is the only one.
    fn find(&self, name: &str, differs: &mut Differs) -> Option<String> {
        let composed: String = name.nfc().collect();
        if let Some(names) = self.composed.get(&composed) {
            if names.iter().any(|actual| actual == name) {
                return Some(name.to_owned());
            }
            differs.unicode = true;
            return only(names);
        }
        differs.case = true;
        only(self.lower.get(&composed.to_lowercase())?)
    }

    /// The image with this name and any extension, if it is the only one.
    fn find_stem(&self, stem: &str) -> Option<String> {
        let composed: String = stem.nfc().collect();
        only(self.stems.get(&composed)?)
    }
}

fn only(names: &[String]) -> Option<String> {
    match names {
        [name] => Some(name.clone()),
        _ => None,
    }
}

fn extension(name: &str) -> String {
    name.rsplit_once('.').map_or(String::new(), |(_, end)| end.to_lowercase())
}

fn is_extension(end: &str) -> bool {
    EXTENSIONS.iter().any(|known| end.eq_ignore_ascii_case(known))
}

/// Finds files, and counts how their names differed from the cells.
pub(super) struct Paths {
    root: PathBuf,
    listings: HashMap<PathBuf, Listing>,
    /// Folders in each root, by name.
    folders: HashMap<PathBuf, Vec<String>>,
    /// Whether one of several files of a name is enough: to recognise a column, not to read it.
    any: bool,
    counts: BTreeMap<Said, (usize, String)>,
}

/// Sentences about files, in the order in which they are said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Backslash,
    FromRoot,
    Folder(String),
    Extension(String),
    Unicode,
    Case,
}

impl Paths {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            listings: HashMap::new(),
            folders: HashMap::new(),
            any: false,
            counts: BTreeMap::new(),
        }
    }

    /// Takes the next cells as relative to this folder.
    pub fn enter(&mut self, folder: &Path) {
        if self.root != folder {
            folder.clone_into(&mut self.root);
        }
    }

    /// The file of a cell, or the path where it should be. Differences are counted. Folders named like another subset
    /// than the row's are not looked into.
    pub fn path(&mut self, cell: &str, kind: Kind, subset: Option<Subset>) -> PathBuf {
        let Some((path, differs)) = self.look(cell, kind, subset) else {
            return self.root.join(cell.strip_prefix("./").unwrap_or(cell));
        };
        let mut count = |said: Said| {
            self.counts.entry(said).or_insert_with(|| (0, cell.to_owned())).0 += 1;
        };
        [
            (differs.backslash, Said::Backslash),
            (differs.from_root, Said::FromRoot),
            (differs.unicode, Said::Unicode),
            (differs.case, Said::Case),
        ]
        .into_iter()
        .filter_map(|(differs, said)| differs.then_some(said))
        .for_each(&mut count);
        differs.extension.map(Said::Extension).into_iter().for_each(&mut count);
        differs.folder.map(Said::Folder).into_iter().for_each(&mut count);
        path
    }

    /// Whether a cell names a file.
    pub fn finds(&mut self, cell: &str, kind: Kind) -> bool {
        self.any = true;
        let found = self.look(cell, kind, None).is_some();
        self.any = false;
        found
    }

    /// Whether a text is the name of an image file, its extension included.
    pub fn finds_written(&mut self, cell: &str) -> bool {
        is_extension(&extension(cell)) && self.finds(cell, Kind::Image)
    }

    /// Says what was counted.
    pub fn say(&self, reading: &mut Reading) {
        for (said, (count, first)) in &self.counts {
            let cells = if *count == 1 { "1 cell" } else { &format!("{count} cells") };
            match said {
                Said::Backslash => {
                    reading.guess(format!("`\\` separates folders in {cells}, such as `{first}`: read as `/`"));
                }
                Said::FromRoot => reading.guess(format!(
                    "a full path that is no file is in {cells}, such as `{first}`: its end was found below the table's folder"
                )),
                Said::Folder(folder) => {
                    reading.guess(format!("the files of {cells}, such as `{first}`, were found in `{folder}/`"));
                }
                Said::Extension(end) => {
                    reading.guess(format!("the extension is left out in {cells}, such as `{first}`: .{end} was found"));
                }
                Said::Unicode => reading.guess(format!(
                    "the Unicode form differs from the file's name in {cells}, such as `{first}`: matched to the file"
                )),
                Said::Case => reading.warn(format!(
                    "upper and lower case differ from the file's name in {cells}, such as `{first}`: matched to the only \
                     such file"
                )),
            }
        }
    }

    fn look(&mut self, cell: &str, kind: Kind, subset: Option<Subset>) -> Option<(PathBuf, Differs)> {
        let mut differs = Differs::default();
        let as_written = self.root.join(cell.strip_prefix("./").unwrap_or(cell));
        if cell.is_empty() {
            return None;
        }
        if as_written.is_file() {
            return Some((as_written, differs));
        }
        differs.backslash = cell.contains('\\');
        let name = cell.replace('\\', "/");
        let name = name.trim_start_matches("./");
        differs.from_root = name.starts_with('/') || name.get(1..3) == Some(":/");
        if !differs.from_root {
            return self.below_any(name, kind, subset, &differs);
        }
        let ends = name.match_indices('/').map(|(at, _)| &name[at + 1..]);
        ends.filter(|end| !end.is_empty()).find_map(|end| self.below_any(end, kind, subset, &differs))
    }

    /// Looks in the root, then in its folders: the only one of the usual ones, or the only one of the others.
    fn below_any(
        &mut self,
        name: &str,
        kind: Kind,
        subset: Option<Subset>,
        differs: &Differs,
    ) -> Option<(PathBuf, Differs)> {
        let root = self.root.clone();
        if let Some(found) = self.below(&root, name, differs) {
            return Some(found);
        }
        let (mut usual_ones, mut others) = (Vec::new(), Vec::new());
        for (usual, folder) in self.folders_of(kind, subset) {
            let differs = Differs { folder: Some(folder.clone()), ..differs.clone() };
            let found = self.below(&root.join(folder), name, &differs);
            match usual {
                true => usual_ones.extend(found),
                false => others.extend(found),
            }
        }
        // Of several usual folders with the file none is taken: which one is meant is not known.
        let mut all = if usual_ones.is_empty() { others } else { usual_ones };
        all.pop().filter(|_| all.is_empty() || self.any)
    }

    /// Follows a name down from a folder; the last part may lack its extension.
    fn below(&mut self, folder: &Path, name: &str, so_far: &Differs) -> Option<(PathBuf, Differs)> {
        let mut differs = so_far.clone();
        let (parents, last) = name.rsplit_once('/').map_or(("", name), |(parents, last)| (parents, last));
        let mut at = folder.to_owned();
        for part in parents.split('/').filter(|part| !matches!(*part, "" | ".")) {
            let found = if part == ".." { part.to_owned() } else { self.listing(&at).find(part, &mut differs)? };
            at.push(found);
        }
        let listing = self.listing(&at);
        let mut of_file = differs.clone();
        if let Some(found) = listing.find(last, &mut of_file) {
            let path = at.join(found);
            return path.is_file().then_some((path, of_file));
        }
        let found = listing.find_stem(last).filter(|_| !is_extension(&extension(last)))?;
        differs.extension = Some(extension(&found));
        Some((at.join(found), differs))
    }

    fn listing(&mut self, folder: &Path) -> &Listing {
        self.listings.entry(folder.to_owned()).or_insert_with_key(|folder| Listing::read(folder))
    }

    /// Folders of the root that a cell may leave out, and whether they are usual.
    fn folders_of(&mut self, kind: Kind, subset: Option<Subset>) -> Vec<(bool, String)> {
        let folders = self.folders.entry(self.root.clone()).or_insert_with_key(|root| {
            let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
            let folders = walk::folders(root).unwrap_or_default();
            folders.iter().filter_map(|path| path.file_name().and_then(OsStr::to_str).map(str::to_owned)).collect()
        });
        let place = |known: &[&str], name: &str| known.iter().position(|known| *known == plain(name));
        let of_subset = |name: &str| subset_named(plain(name).trim_end_matches("images"));
        let others = IMAGE_FOLDERS.len();
        let mut chosen: Vec<(usize, &String)> = match kind {
            Kind::Label => folders.iter().filter_map(|name| Some((place(&LABEL_FOLDERS, name)?, name))).collect(),
            Kind::Image => folders
                .iter()
                .filter(|name| place(&LABEL_FOLDERS, name).is_none())
                .filter(|name| subset.is_none() || of_subset(name).is_none() || of_subset(name) == subset)
                .map(|name| (place(&IMAGE_FOLDERS, name).unwrap_or(others), name))
                .collect(),
        };
        chosen.sort();
        let usual = chosen.iter().filter(|(place, _)| *place < others).count();
        chosen.into_iter().take(usual + MAX_OTHERS).map(|(place, name)| (place < others, name.clone())).collect()
    }
}
