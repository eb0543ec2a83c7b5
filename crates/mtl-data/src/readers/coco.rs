//! COCO: images with annotations in JSON files, one per subset.
//!
//! `annotations/instances_train2017.json` beside `train2017/*` or `images/*`, or `train/_annotations.coco.json` in each folder of
//! images. Tasks: `mask` if annotations have polygons or run-length encoded masks (background, then the categories by their
//! numbers; later annotations cover earlier ones; rasterised as pycocotools does), and the multi-label task `labels` with
//! every category that an image shows. Boxes are not learned. An image without annotations is background and shows no category.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hotcoco::types::{Annotation, Dataset as Annotations, Image, Segmentation};
use mtl_task::{Task, TaskKind};

use super::draft::{Draft, mask_task};
use super::masks::Meaning;
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, names, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::image::palette::Palette;
use crate::image::runs::Runs;
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::{MAX_SIDE, Size};

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

/// Categories of a mask besides the background.
const MAX_CATEGORIES: usize = 254;
/// Bytes at the head and at the end of a JSON file in which its sections are looked for.
const LOOKED_INTO: usize = 1 << 16;

fn detect(path: &Path) -> bool {
    !files(path).is_empty()
}

/// The annotation files of a folder: in it, in `annotations/`, and in its folders; a single file.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return if is_coco(path) { vec![path.to_owned()] } else { Vec::new() };
    }
    let folders = walk::folders(path).unwrap_or_default();
    let places = std::iter::once(path.to_owned()).chain(folders);
    let inside = places.flat_map(|place| walk::entries(&place).unwrap_or_default());
    inside.filter(|file| is_coco(file)).collect()
}

/// Whether a file is JSON with the sections of COCO.
fn is_coco(path: &Path) -> bool {
    use std::io::{Read, Seek, SeekFrom};
    if !path.is_file() || !path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        return false;
    }
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let mut bytes = vec![0; LOOKED_INTO];
        let count = file.read(&mut bytes)?;
        bytes.truncate(count);
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_INTO as u64)))?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().is_ok_and(|text| {
        text.trim_start().starts_with('{')
            && ["\"images\"", "\"annotations\"", "\"categories\""].iter().filter(|key| text.contains(**key)).count()
                >= 2
    })
}

/// One annotation file.
struct File {
    path: PathBuf,
    subset: Option<Subset>,
    content: Annotations,
}

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let root = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let (mut reading, mut left) = (Reading::default(), BTreeMap::new());
    let files = read(path, root, &mut left, &mut reading)?;
    let categories = categories(&files)?;
    let classes: Vec<String> = categories.values().map(|(_, name)| name.clone()).collect();
    let drawn = files.iter().any(|file| file.content.annotations.iter().any(is_drawn));
    let found = Images::below(root)?;
    let mut rows = Vec::new();
    let (mut counts, mut ambiguous) = (Counts::default(), Ambiguous::new());
    for file in &files {
        let mut of_image: BTreeMap<u64, Vec<&Annotation>> = BTreeMap::new();
        file.content.annotations.iter().for_each(|one| of_image.entry(one.image_id).or_default().push(one));
        for image in &file.content.images {
            let own = of_image.remove(&image.id).unwrap_or_default();
            counts.bare += usize::from(own.is_empty());
            let mut cells = vec![Some(false); classes.len()];
            for one in &own {
                if let Some((at, _)) = categories.get(&one.category_id) {
                    cells[usize::from(*at)] = Some(true);
                }
            }
            let mut labels = Vec::new();
            if drawn {
                labels.push(mask(image, &own, &categories, file, &mut counts)?);
            }
            if classes.len() > 1 {
                labels.push(Label::YesNo(cells));
            }
            let (image, notes) = (found.path(image, &file.path, root, &mut ambiguous), RowNotes::default());
            rows.push(Row { image, labels, subset: file.subset, notes });
        }
        counts.orphans += of_image.values().map(Vec::len).sum::<usize>();
    }
    counts.say(drawn, &mut reading);
    if let Some((name, (files, first))) = ambiguous.first_key_value() {
        reading.warn(format!(
            "names of images that several files have: {}, such as {name} ({files} files, such as {first}): which one is meant is \
             not known; write the folder into file_name",
            ambiguous.len()
        ));
    }
    let mut tasks = Vec::new();
    if drawn {
        tasks.push(mask_task("mask"));
    }
    if classes.len() > 1 {
        tasks.push(Task::new("labels", TaskKind::MultiLabel { labels: classes.clone() }));
    }
    let entries: Vec<(u16, &str)> =
        (0..).zip(std::iter::once("background").chain(classes.iter().map(String::as_str))).collect();
    let meaning = Meaning::Known(Palette::of(&entries));
    let tables = files.into_iter().map(|file| file.path).collect();
    let count_rest = path.is_dir();
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest, reading }
        .build(options)
}

fn is_drawn(one: &Annotation) -> bool {
    one.segmentation.as_ref().is_some_and(|drawn| drawn.polygons().is_none_or(|polygons| !polygons.is_empty()))
}

/// Reads the annotation files. Of several for one subset, that of instances is used.
fn read(
    path: &Path,
    root: &Path,
    left: &mut BTreeMap<PathBuf, &'static str>,
    reading: &mut Reading,
) -> Result<Vec<File>, Error> {
    let mut by_subset: BTreeMap<Option<Subset>, Vec<PathBuf>> = BTreeMap::new();
    for file in files(path) {
        by_subset.entry(subset_of(&file, root)).or_default().push(file);
    }
    let mut read = Vec::new();
    for (subset, mut files) in by_subset {
        files.sort_by_key(|file| (!walk::stem(file).to_lowercase().contains("instances"), file.clone()));
        let same_folder = files.iter().all(|file| file.parent() == files[0].parent());
        if same_folder && files.len() > 1 {
            let names: Vec<String> = files.iter().map(|file| walk::name(file)).collect();
            if !walk::stem(&files[0]).to_lowercase().contains("instances") {
                let reason = format!(
                    "several annotation files for the same images: {}; give the path of one of them instead of the \
                     folder's, or name them after their subsets (train.json, val.json)",
                    names.join(", ")
                );
                return Err(Error::Layout { path: root.to_owned(), reason });
            }
            left.extend(files.drain(1..).map(|file| (file, "another annotation file of the same subset")));
        }
        for path in files {
            let bytes = std::fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
            let content: Annotations = serde_json::from_slice(&bytes).map_err(|error| Error::Table {
                path: path.clone(),
                line: error.line() as u64,
                reason: format!("no COCO annotations: {error}"),
            })?;
            let name = walk::relative(&path, root);
            reading.guess(match subset {
                Some(subset) => format!("{name}: {} images of the {} subset", content.images.len(), subset.name()),
                None => format!("{name}: {} images", content.images.len()),
            });
            read.push(File { path, subset, content });
        }
    }
    Ok(read)
}

/// By a word of the file's name (`instances_train2017`), else by its folder.
fn subset_of(file: &Path, root: &Path) -> Option<Subset> {
    let stem = walk::stem(file);
    let words = stem.split(['_', '-', '.', ' ']);
    let folder = file.parent().filter(|folder| *folder != root).map(walk::name);
    words.into_iter().find_map(names::subset_named).or_else(|| names::subset_named(&folder?))
}

/// Place (0 for the first) and name of every category, by its number.
fn categories(files: &[File]) -> Result<BTreeMap<u64, (u8, String)>, Error> {
    let mut named: BTreeMap<u64, String> = BTreeMap::new();
    for File { path, content, .. } in files {
        for category in &content.categories {
            let fail = |reason| Err(Error::Layout { path: path.clone(), reason });
            match named.get(&category.id) {
                Some(known) if *known != category.name => {
                    return fail(format!(
                        "category {} is `{}` here and `{known}` in another annotation file",
                        category.id, category.name
                    ));
                }
                _ => named.insert(category.id, category.name.clone()),
            };
        }
        if let Some(one) = content.annotations.iter().find(|one| !named.contains_key(&one.category_id)) {
            let reason = format!("annotation {} is of category {}, which has no name", one.id, one.category_id);
            return Err(Error::Layout { path: path.clone(), reason });
        }
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = named.values().find(|name| !seen.insert((*name).clone())) {
        let reason = format!("two categories are called `{twice}`; give each its own name");
        return Err(Error::Layout { path: files[0].path.clone(), reason });
    }
    if named.len() > MAX_CATEGORIES {
        let reason = format!("{} categories; at most {MAX_CATEGORIES} are possible", named.len());
        return Err(Error::Layout { path: files[0].path.clone(), reason });
    }
    Ok((0_u8..).zip(named).map(|(at, (id, name))| (id, (at, name))).collect())
}

#[derive(Default)]
struct Counts {
    /// Annotations with a box alone, and the images that have them.
    boxes: usize,
    boxed: usize,
    /// Images without annotations.
    bare: usize,
    /// Annotations of images that are not listed.
    orphans: usize,
    /// Outlines of fewer than three points.
    degenerate: usize,
}

impl Counts {
    fn say(&self, drawn: bool, reading: &mut Reading) {
        let Self { boxes, boxed, bare, orphans, degenerate } = self;
        if !drawn {
            reading
                .warn("the annotations hold boxes and no masks: boxes are not learned; the categories of an image are");
        } else if *boxes > 0 {
            reading.warn(format!(
                "boxes are not learned: {boxes} annotations of {boxed} images have no mask; the masks of those images are \
                 missing labels"
            ));
        }
        if *bare > 0 {
            reading.guess(format!("images without annotations: {bare}; they are background and show no category"));
        }
        if *orphans > 0 {
            reading.warn(format!("{orphans} annotations are of images that are not listed: they are not used"));
        }
        if *degenerate > 0 {
            reading.warn(format!("{degenerate} outlines have fewer than three points: they are not drawn, and a mask with nothing else is a missing label"));
        }
    }
}

/// The mask of one image.
fn mask(
    image: &Image,
    own: &[&Annotation],
    categories: &BTreeMap<u64, (u8, String)>,
    file: &File,
    counts: &mut Counts,
) -> Result<Label, Error> {
    let (height, width) = (image.height, image.width);
    if height.max(width) > MAX_SIDE || height.min(width) == 0 {
        let reason = format!("image {} ({}) is listed with {width} x {height} pixels", image.id, image.file_name);
        return Err(Error::Layout { path: file.path.clone(), reason });
    }
    let (mut runs, mut unknown) = (Vec::new(), false);
    let boxes = own.iter().filter(|one| !is_drawn(one)).count();
    for one in own.iter().filter(|one| is_drawn(one)) {
        let (Some((at, _)), Some(drawn)) = (categories.get(&one.category_id), &one.segmentation) else { continue };
        let mut drawn = drawn.clone();
        if let Segmentation::Polygon(outlines) = &mut drawn {
            let all = outlines.len();
            outlines.retain(|outline| outline.len() >= 6);
            counts.degenerate += all - outlines.len();
            if outlines.is_empty() {
                unknown = true;
                continue;
            }
        }
        let fail = |reason: String| Error::Layout {
            path: file.path.clone(),
            reason: format!("annotation {} of image {}: {reason}", one.id, image.file_name),
        };
        let rle = drawn.to_rle(height, width).map_err(|error| fail(error.to_string()))?;
        if (rle.h, rle.w) != (height, width) {
            return Err(fail(format!("its mask is {} x {}, the image {width} x {height}", rle.w, rle.h)));
        }
        let size = Size { height: height as usize, width: width as usize };
        runs.push((at + 1, Runs { size, counts: rle.counts }));
    }
    if boxes > 0 {
        counts.boxes += boxes;
        counts.boxed += 1;
        // What lies in a box is not background: without its outline the mask is unknown.
        return Ok(Label::Missing);
    }
    Ok(if unknown { Label::Missing } else { Label::Runs(runs) })
}

/// Names that fit several files, with the number of files and the first.
type Ambiguous = BTreeMap<String, (usize, String)>;

/// Image files by name.
struct Images(BTreeMap<String, Vec<PathBuf>>);

impl Images {
    fn below(root: &Path) -> Result<Self, Error> {
        let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in walk::images_below(root)? {
            by_name.entry(walk::name(&path)).or_default().push(path);
        }
        Ok(Self(by_name))
    }

    /// The file of an image: its path from the annotation file or from the root, or the only file of its name, of its path's end,
    /// or in a folder named like the annotation file's subset.
    fn path(&self, image: &Image, file: &Path, root: &Path, ambiguous: &mut Ambiguous) -> PathBuf {
        let name = image.file_name.replace('\\', "/");
        let folders = [file.parent().unwrap_or(root), root];
        let direct = folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
        if let Some(path) = direct {
            return path;
        }
        let last = name.rsplit('/').next().unwrap_or(&name);
        let same: Vec<&PathBuf> = self.0.get(last).into_iter().flatten().collect();
        let subset = subset_of(file, root);
        let in_subset = |path: &Path| {
            let below = path.strip_prefix(root).unwrap_or(path);
            let folders = below.parent().into_iter().flat_map(Path::components);
            let mut named = folders.map(|part| names::subset_named(&part.as_os_str().to_string_lossy()));
            subset.is_some() && named.any(|of| of == subset)
        };
        let only = |fits: &dyn Fn(&Path) -> bool| {
            let mut fitting = same.iter().filter(|path| fits(path));
            fitting.next().filter(|_| fitting.next().is_none()).map(|path| (*path).clone())
        };
        let of_folder = |path: &Path| path.ends_with(&name);
        let found = only(&|_| true).or_else(|| only(&of_folder)).or_else(|| only(&in_subset));
        let found = found.or_else(|| only(&|path| of_folder(path) && in_subset(path)));
        found.unwrap_or_else(|| {
            if let [first, _, ..] = &same[..] {
                let reason = (same.len(), walk::relative(first, root));
                ambiguous.entry(name.clone()).or_insert(reason);
            }
            root.join(&name)
        })
    }
}
