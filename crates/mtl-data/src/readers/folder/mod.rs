//! The generic layout: class folders, images with masks, or both.
//!
//! | layout | example |
//! |---|---|
//! | class folders | `cat/*.jpg`, `dog/*.jpg`; images may lie deeper |
//! | images and masks | `images/*`, `masks/*` by path or stem (`image`, `imgs`, `JPEGImages` ...; `mask`, `labels`, `annotations`, `gt` ...) |
//! | masks next to images | `x.png`, `x_mask.png` (`_seg`, `-label`, `.gt` ...; `_mask_1`, `_mask_2` are united), or `x.jpg`, `x.png` |
//! | masks per class | `images/x.png`, `masks/CLASS/x.png` or `masks/x/CLASS.png`, binary |
//! | masks per image | `images/x.png`, `masks/x/*.png` (united) |
//! | masks by number | `images/img_1.png`, `masks/mask_001.png`, one to one |
//! | one folder per case | `ID/images/x.png`, `ID/masks/*.png` (united), or `ID/image.png`, `ID/mask.png`, at any depth |
//! | subsets around or below any of these | `train/`, `Validation/`, `seg_test/` ...; `unlabeled/`; `trainannot/` next to `train/` |
//!
//! Masks are indexed or grey PNG, or colours named in `palette.csv` or another list of classes. Without masks, alpha is the mask if every image has an
//! alpha channel. Tasks: `class` for two or more class folders, `mask` for masks. Class names in the order of numbers if all are
//! numbers, else sorted.

mod cases;
mod classes;
mod looks;
mod numbering;
pub(super) mod pairs;
pub(super) mod parts;
mod suspects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_task::{Task, TaskKind};

use self::cases::{Case, Cases};
use self::pairs::{Beside, Inside, Masks};
use self::parts::Part;
use super::draft::{Draft, mask_task};
use super::masks::{self, Meaning};
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, names, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::reading::Reading;
use crate::row_notes::{NotedColumn, RowNotes};

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    root.is_dir() && walk::any_image(root)
}

/// Why a mask is left out.
pub(super) const ORPHAN: &str = "a mask that belongs to no image, or to several of one name";

/// Classes of masks besides the background.
const MAX_LAYERS: usize = 254;

struct Found {
    image: PathBuf,
    class: Option<String>,
    masks: Vec<PathBuf>,
    /// Class and file of binary masks, where each class has a folder of them.
    layers: Vec<(String, PathBuf)>,
    subset: Option<Subset>,
    /// The folder of a patient or the like.
    group: Option<String>,
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let (mut found, mut left) = (Vec::new(), BTreeMap::new());
    let mut parts = Vec::new();
    let mut gathered = Vec::new();
    let mut waiting = parts::parts(root)?;
    waiting.reverse();
    // A subset may have no masks at all.
    let mut with_cases = false;
    for part in waiting.iter().filter(|part| part.may_hold_cases()) {
        with_cases = with_cases || cases::cases(&part.images, false, &mut Reading::default())?.is_some();
    }
    while let Some(part) = waiting.pop() {
        gathered.extend(gather(&part, with_cases, &mut waiting, &mut found, &mut left, &mut reading)?);
        parts.push(part);
    }
    describe(&parts, root, &mut reading);
    let doubts = pair(gathered, &mut found, &mut left, root, &mut reading)?;
    refuse_unpaired(&found, &left, &doubts, root)?;
    if options.reader.is_none() {
        classes::groups(&mut found, &mut reading);
    }
    classes::merge_cases(&mut found, root, &mut reading)?;
    let rows_of = classes::counts(found.iter().filter_map(|found| found.class.as_ref()));
    if options.reader.is_none() {
        suspects::refuse(&rows_of, &found, root, &mut reading)?;
    }
    let classes = names::in_order(rows_of.keys().cloned());
    let class_names = classes.clone();
    let with_class = classes.len() > 1 || classes.iter().any(|class| options.expects_class(class));
    if classes.len() == 1 && !with_class {
        reading.guess(format!("only one class folder (`{}`): no classification task", classes[0]));
    }
    let has_masks = parts.iter().any(|part| part.masks.is_some()) || found.iter().any(|found| !found.masks.is_empty());
    let united = found.iter().any(|found| found.masks.len() > 1);
    let layers = names::in_order(
        found.iter().flat_map(|found| found.layers.iter().map(|(class, _)| class.clone())).collect::<BTreeSet<_>>(),
    );
    if layers.len() > MAX_LAYERS {
        let reason = format!("{} folders of masks per class; at most {MAX_LAYERS} classes are possible", layers.len());
        return Err(Error::Layout { path: root.to_owned(), reason });
    }
    let has_masks = has_masks || !layers.is_empty();
    let place: BTreeMap<&String, usize> = classes.iter().zip(0..).collect();
    let place_of_layer: BTreeMap<&String, u8> = layers.iter().zip(1..).collect();
    let columns: Arc<[NotedColumn]> = Arc::new([NotedColumn { name: "folder".into(), names_groups: true }]);
    let rows = found.into_iter().map(|found| {
        let notes = found.group.map(|group| RowNotes::new(false, Arc::clone(&columns), vec![Some(group)]));
        let class = found.class.and_then(|name| place.get(&name).copied());
        let mut own: Vec<(u8, PathBuf)> =
            found.layers.into_iter().filter_map(|(class, path)| Some((*place_of_layer.get(&class)?, path))).collect();
        own.sort();
        let mask = match (found.masks.is_empty(), own.is_empty()) {
            (false, _) => Label::Mask(found.masks),
            (true, false) => Label::Layers(own),
            (true, true) => Label::Missing,
        };
        let labels = [(with_class, class.map_or(Label::Missing, Label::Class)), (has_masks, mask)];
        let labels = labels.into_iter().filter(|(has, _)| *has).map(|(_, label)| label).collect();
        Row { image: found.image, labels, subset: found.subset, notes: notes.unwrap_or_default() }
    });
    let rows: Vec<Row> = rows.collect();
    let mut tasks = Vec::new();
    if with_class {
        tasks.push(Task::new("class", TaskKind::Classification { classes }));
    }
    if has_masks {
        tasks.push(mask_task("mask"));
    }
    let mut places: Vec<&Path> = vec![root];
    for masks in parts.iter().filter_map(|part| part.masks.as_deref()) {
        places.extend([Some(masks), masks.parent()].into_iter().flatten().filter(|folder| folder.starts_with(root)));
    }
    let mut tables = Vec::new();
    let named =
        if has_masks && layers.is_empty() { masks::named(&places, true, &mut tables, &mut reading)? } else { None };
    // Names of the class folders are none of masks; one of many united masks is a foreground.
    let fits = |meaning: &Meaning| match meaning {
        Meaning::Named(list) => !(list.is(&class_names) || united && list.is_long()),
        _ => true,
    };
    let named = named.filter(fits);
    if let Some(Meaning::Named(list)) = &named {
        tables.push(list.path().to_owned());
    }
    let meaning = named.unwrap_or(match (layers.is_empty(), united) {
        (false, _) => Meaning::Layers(layers),
        (true, true) => Meaning::Binary,
        (true, false) => Meaning::Discover,
    });
    Draft {
        root: root.to_owned(),
        tasks,
        rows,
        meaning,
        alpha_as_mask: !has_masks,
        tables,
        left,
        count_rest: true,
        reading,
    }
    .build(options)
}

/// Refuses masks of which none belongs to an image: all images would be without labels.
fn refuse_unpaired(
    found: &[Found],
    left: &BTreeMap<PathBuf, &'static str>,
    doubts: &[String],
    root: &Path,
) -> Result<(), Error> {
    let left: Vec<&PathBuf> = left.iter().filter(|(_, reason)| **reason == ORPHAN).map(|(path, _)| path).collect();
    let (Some(mask), Some(image)) = (left.first(), found.first()) else { return Ok(()) };
    if found.iter().any(|found| !found.masks.is_empty() || !found.layers.is_empty()) {
        return Ok(());
    }
    let by_number = match doubts.first() {
        Some(doubt) => format!(" Nor do they pair one to one by their numbers: {doubt}."),
        None => String::new(),
    };
    let reason = format!(
        "none of {} masks belongs to an image: a mask such as {} has the name of none of the {} images, such as {}.{by_number} Give \
         a mask the name of its image, or that name with `_mask` behind it",
        left.len(),
        walk::relative(mask, root),
        found.len(),
        walk::relative(&image.image, root)
    );
    Err(Error::Layout { path: root.to_owned(), reason })
}

/// Says which folders are subsets and which hold masks.
fn describe(parts: &[Part], root: &Path, reading: &mut Reading) {
    let name = |path: &Path| match walk::relative(path, root) {
        name if name.is_empty() => ".".to_owned(),
        name => format!("{name}/"),
    };
    for part in parts {
        let images = name(&part.images);
        if part.unlabelled {
            reading.guess(format!("{images} holds training images without labels"));
        } else if let Some(subset) = part.subset {
            reading.guess(format!("{images} is the {} subset", subset.name()));
        }
        if let Some(masks) = &part.masks {
            reading.guess(format!("{} holds the masks of the images in {images}", name(masks)));
        }
        if part.subset.is_some() && !walk::any_image(&part.images) {
            reading.warn(format!("{images} holds no images"));
        }
    }
    for subset in [Subset::Train, Subset::Validation, Subset::Test] {
        let of = |part: &&Part| part.subset == Some(subset) && part.class.is_none() && !part.unlabelled;
        let folders: Vec<String> = parts.iter().filter(of).map(|part| name(&part.images)).collect();
        if folders.len() > 1 {
            let (first, count) = (&folders[0], folders.len());
            reading.guess(format!("the {} subset has {count} folders, such as {first}", subset.name()));
        }
    }
}

/// The images of a part, before masks are looked for.
struct Gathered {
    part: Part,
    images: Vec<PathBuf>,
    class_of: BTreeMap<PathBuf, String>,
    beside: Beside,
}

/// Lists the images of a part. Class folders with folders of their own become parts, added to `waiting`; one folder per case is
/// complete and added to `found`.
fn gather(
    part: &Part,
    with_cases: bool,
    waiting: &mut Vec<Part>,
    found: &mut Vec<Found>,
    left: &mut BTreeMap<PathBuf, &'static str>,
    reading: &mut Reading,
) -> Result<Option<Gathered>, Error> {
    if with_cases
        && part.may_hold_cases()
        && let Some(Cases { cases, odd }) = cases::cases(&part.images, with_cases, reading)?
    {
        cases::describe(&cases, reading);
        for folder in odd {
            left.extend(walk::images_below(&folder)?.into_iter().map(|path| (path, cases::ODD)));
        }
        let row = |Case { image, masks, class, group }| Found {
            image,
            class,
            masks,
            layers: Vec::new(),
            subset: part.subset,
            group,
        };
        found.extend(cases.into_iter().map(row));
        return Ok(None);
    }
    let mut images = walk::images(&part.images)?;
    let loose = images.len();
    let mut class_of: BTreeMap<PathBuf, String> =
        images.iter().filter_map(|path| Some((path.clone(), part.class.clone()?))).collect();
    let (mut inner, mut below) = (Vec::new(), Vec::new());
    for folder in walk::folders(&part.images)? {
        if part.masks.as_ref() == Some(&folder) {
            continue;
        }
        if !part.unlabelled
            && part.class.is_none()
            && let Some(parts) = parts::of_class(&folder, part)?
        {
            inner.extend(parts);
            continue;
        }
        let inside = walk::images_below(&folder)?;
        if inside.is_empty() {
            reading.warn(format!("folder {} holds no images: it is no class", folder.display()));
        }
        let class = part.class.clone().unwrap_or_else(|| walk::name(&folder));
        let own: BTreeSet<&Path> = inside.iter().filter_map(|path| path.parent()).filter(|at| *at != folder).collect();
        if own.len() > 1 && part.masks.is_none() {
            below.extend(own.into_iter().map(Path::to_owned));
        }
        class_of.extend(inside.iter().map(|path| (path.clone(), class.clone())));
        images.extend(inside);
    }
    if let Some(first) = below.first() {
        reading.guess(format!(
            "{} folders below class folders, such as {}/, are no classes of their own: their images are of the class above",
            below.len(),
            walk::relative(first, &part.images)
        ));
    }
    waiting.extend(inner.into_iter().rev());
    let beside =
        if part.masks.is_none() && !part.unlabelled { Beside::take(&mut images, reading) } else { Beside::default() };
    if !beside.of.is_empty() {
        let how = match (beside.by_values, beside.by_numbers) {
            (true, _) => "have the stem of their image and hold few values",
            (_, true) => "have the number of their image, one to one, and hold few values",
            _ => "are named after their image",
        };
        let count: usize = beside.of.values().map(Vec::len).sum();
        reading.guess(format!("{count} files next to {} images {how}: they are read as masks", beside.of.len()));
    }
    if part.unlabelled {
        class_of.clear();
    } else if loose > 0 && !class_of.is_empty() && part.class.is_none() {
        let folder = part.images.display();
        reading.warn(format!("{loose} of the images lie next to the class folders in {folder} and have no class"));
    }
    Ok(Some(Gathered { part: part.clone(), images, class_of, beside }))
}

/// Finds the mask of every image. Parts may share a folder of masks: a name is then one of all their images. Returns why masks
/// do not pair by their numbers.
fn pair(
    gathered: Vec<Gathered>,
    found: &mut Vec<Found>,
    left: &mut BTreeMap<PathBuf, &'static str>,
    root: &Path,
    reading: &mut Reading,
) -> Result<Vec<String>, Error> {
    let mut folders: BTreeMap<PathBuf, Masks> = BTreeMap::new();
    let (mut paths, mut stems) = (BTreeMap::new(), BTreeMap::new());
    let mut images_of: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let below = |image: &Path, part: &Part| walk::relative(&image.with_extension(""), &part.images);
    for Gathered { part, images, .. } in &gathered {
        let Some(masks) = &part.masks else { continue };
        if !folders.contains_key(masks) {
            folders.insert(masks.clone(), Masks::read(masks)?);
        }
        for image in images {
            images_of.entry(masks.clone()).or_default().insert(below(image, part));
            *paths.entry((masks.clone(), below(image, part))).or_insert(0) += 1;
            *stems.entry((masks.clone(), walk::stem(image))).or_insert(0) += 1;
        }
    }
    let inside = folders.iter().map(|(folder, masks)| (folder.clone(), masks.inside(&images_of[folder])));
    let inside: BTreeMap<PathBuf, Inside> = inside.collect();
    let mut doubts = Vec::new();
    for (folder, inside) in &inside {
        match inside {
            Inside::Plain => {
                let images = &images_of[folder];
                let alone = paths.iter().all(|((of, _), count)| of != folder || *count == 1);
                match folders.get_mut(folder).filter(|_| alone).map_or(Ok(None), |masks| masks.renumber(images)) {
                    Ok(how) => reading.guesses.extend(how.map(|how| {
                        format!(
                            "the {} masks in {}/ have other names than their images: they are paired one to one, {how}",
                            images.len(),
                            walk::relative(folder, root)
                        )
                    })),
                    Err(doubt) => doubts.push(doubt),
                }
            }
            Inside::PerImage => reading.guess(format!(
                "{} holds a folder of masks per image: the masks of one image are united, its instances are not told apart",
                folder.display()
            )),
            Inside::PerClass(classes) | Inside::PerClassOfImage(classes) => reading.guess(format!(
                "{} holds binary masks per class ({}): where masks of one image overlap, the later class counts",
                folder.display(),
                classes.join(", ")
            )),
        }
    }
    for Gathered { part, images, mut class_of, mut beside } in gathered {
        for image in images {
            let mut own = beside.of.remove(&image).unwrap_or_default();
            let mut layers = Vec::new();
            if let Some((folder, masks)) =
                part.masks.as_ref().and_then(|folder| Some((folder, folders.get_mut(folder)?)))
            {
                let path = below(&image, &part);
                let path_is_unique = paths.get(&(folder.clone(), path.clone())) == Some(&1);
                let stem_is_unique = stems.get(&(folder.clone(), walk::stem(&image))) == Some(&1);
                match &inside[folder] {
                    Inside::Plain => own.extend(masks.take(&path, path_is_unique, stem_is_unique)),
                    Inside::PerImage => own.extend(masks.take_folder(&path)),
                    Inside::PerClass(classes) => layers = masks.take_layers(&path, classes, true),
                    Inside::PerClassOfImage(classes) => layers = masks.take_layers(&path, classes, false),
                }
            }
            let class = class_of.remove(&image);
            found.push(Found { class, masks: own, layers, subset: part.subset, image, group: None });
        }
        left.extend(beside.left.into_iter().map(|mask| (mask, ORPHAN)));
    }
    left.extend(folders.values().flat_map(Masks::left).map(|mask| (mask.clone(), ORPHAN)));
    Ok(doubts)
}
