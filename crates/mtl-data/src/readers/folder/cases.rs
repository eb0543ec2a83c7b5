//! One folder per case: `ID/images/x.png` with `ID/masks/*.png`, or `ID/image.png` with `ID/mask.png`; also below folders of
//! patients or classes: `patient_1/ID/image.png`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::readers::{names, walk};
use crate::reading::Reading;

/// Fewer folders may be classes.
const FEWEST: usize = 3;
/// So many folders with one image and masks are no accident: the others are at fault.
const CERTAIN: usize = 10;
/// More numbered folders of images with masks are no classes.
pub(super) const MOST_CLASSES: usize = 20;

/// Why an image in a folder among those of cases is left out.
pub(super) const ODD: &str = "in a folder that does not hold one image with its masks, as the others do";

/// An image and its masks.
pub(super) struct Case {
    pub image: PathBuf,
    /// None: a missing label.
    pub masks: Vec<PathBuf>,
    /// The class folder that the case lies in.
    pub class: Option<String>,
    /// The other folder that the case lies in, such as that of a patient.
    pub group: Option<String>,
}

/// The cases in a folder, and the folders that are none.
pub(super) struct Cases {
    pub cases: Vec<Case>,
    pub odd: Vec<PathBuf>,
}

/// The folders below one folder.
#[derive(Default)]
struct Looked {
    /// The folder of each case, and the case.
    cases: Vec<(PathBuf, Case)>,
    /// Folders with several images, or with masks only.
    odd: Vec<PathBuf>,
}

impl Looked {
    fn look(&mut self, folder: &Path) -> Result<(), Error> {
        for inner in walk::folders(folder)? {
            let files = walk::images_below(&inner)?;
            let (masks, images): (Vec<PathBuf>, Vec<PathBuf>) =
                files.into_iter().partition(|path| is_mask(path, &inner));
            match &images[..] {
                [] if masks.is_empty() => {}
                [image] => {
                    let case = Case { image: image.clone(), masks, class: None, group: None };
                    self.cases.push((inner, case));
                }
                [_, _, ..] if holds_folders(&inner)? => self.look(&inner)?,
                _ => self.odd.push(inner),
            }
            if self.too_odd() && self.odd.len() > CERTAIN {
                return Ok(());
            }
        }
        Ok(())
    }

    fn used(&self) -> usize {
        self.cases.len() + self.odd.len()
    }

    /// Whether more than one folder in ten is odd.
    fn too_odd(&self) -> bool {
        10 * self.odd.len() > self.used().max(10)
    }
}

/// Whether there are folders only, which are not those of images and masks.
fn holds_folders(folder: &Path) -> Result<bool, Error> {
    let is_part =
        |path: &PathBuf| names::is_images(&walk::name(path), true) || names::is_masks(&walk::name(path), true);
    Ok(walk::images(folder)?.is_empty() && !walk::folders(folder)?.iter().any(is_part))
}

/// The cases in a folder, and folders that are none; `None` if it is not laid out this way: at least nine in ten of its folders
/// hold exactly one image, and half of them masks. `elsewhere`: cases are in another subset, and here no image needs a mask.
///
/// # Errors
/// Many folders of cases among others; folders around them that may be classes or not.
pub(super) fn cases(folder: &Path, elsewhere: bool, reading: &mut Reading) -> Result<Option<Cases>, Error> {
    let mut looked = Looked::default();
    looked.look(folder)?;
    // A few images beside the folders are none of the cases; many are a layout of their own.
    if 10 * walk::images(folder)?.len() > looked.cases.len() {
        return Ok(None);
    }
    let masked = looked.cases.iter().filter(|(_, case)| !case.masks.is_empty()).count();
    let enough = looked.used() >= FEWEST && 2 * masked >= looked.used();
    if looked.too_odd() && masked >= CERTAIN && enough {
        let (first, _) = &looked.cases[0];
        let odd = &looked.odd[0];
        let reason = format!(
            "{} folders hold one image and its masks each, such as {}, and {} hold several images or masks only, such as {}: give \
             each image a folder of its own",
            looked.cases.len(),
            walk::relative(first, folder),
            looked.odd.len(),
            walk::relative(odd, folder)
        );
        return Err(Error::Layout { path: folder.to_owned(), reason });
    }
    if looked.too_odd() || looked.cases.is_empty() || !(enough || elsewhere && looked.odd.is_empty()) {
        return Ok(None);
    }
    let around = Around::of(&looked.cases, folder, reading)?;
    let top = |path: &Path| walk::relative(path, folder).split('/').next().map(str::to_owned);
    let cases = looked.cases.into_iter().map(|(path, case)| match around {
        Around::Nothing => case,
        Around::Classes => Case { class: top(&path), ..case },
        Around::Groups => Case { group: top(&path), ..case },
    });
    Ok(Some(Cases { cases: cases.collect(), odd: looked.odd }))
}

/// Says how the cases are read.
pub(super) fn describe(cases: &[Case], reading: &mut Reading) {
    let masks: usize = cases.iter().map(|case| case.masks.len()).sum();
    let bare = cases.iter().filter(|case| case.masks.is_empty()).count();
    let count = cases.len();
    if masks == 0 {
        reading.guess(format!("{count} folders hold one image each and no masks: their masks are missing labels"));
        return;
    }
    let united = match masks + bare > count {
        true => ": those of one image are united, its instances are not told apart",
        false => "",
    };
    let without = match bare {
        0 => String::new(),
        1 => "; 1 image has none".to_owned(),
        _ => format!("; {bare} images have none"),
    };
    reading.guess(format!("{count} folders hold one image with its masks each ({masks} masks{without}){united}"));
}

/// What the folders around those of the cases are.
#[derive(Clone, Copy)]
enum Around {
    Nothing,
    Classes,
    /// Patients and the like.
    Groups,
}

impl Around {
    fn of(cases: &[(PathBuf, Case)], folder: &Path, reading: &mut Reading) -> Result<Self, Error> {
        let paths: Vec<String> = cases.iter().map(|(path, _)| walk::relative(path, folder)).collect();
        if paths.iter().all(|path| !path.contains('/')) {
            return Ok(Self::Nothing);
        }
        let tops: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
        let first = tops.first().copied().unwrap_or_default();
        let shown = || tops.iter().take(4).map(|top| format!("{top}/")).collect::<Vec<_>>().join(", ");
        let numbered = tops.iter().filter(|top| top.contains(|c: char| c.is_ascii_digit())).count();
        let of_classes = tops.iter().filter(|top| numbers_classes(top));
        let few = tops.len() <= MOST_CLASSES;
        if tops.len() < 2 {
            reading.guess(format!("the folder {first}/ around the folders of cases is no class"));
            return Ok(Self::Nothing);
        }
        if numbered == 0 && few {
            reading.guess(format!("the {} folders around the folders of cases are classes: {}", tops.len(), shown()));
            return Ok(Self::Classes);
        }
        if few && (numbered < tops.len() || of_classes.count() > 0) {
            let reason = format!(
                "{} hold folders with one image and its masks each: whether they are classes or, for example, patients is not \
                 known. Rename classes to words, such as benign/, and patients to numbered words, such as patient_1/",
                shown()
            );
            return Err(Error::Layout { path: folder.to_owned(), reason });
        }
        reading.guess(format!(
            "the {} folders around the folders of cases, such as {first}/, are no classes: they are groups of images (column \
             `folder`)",
            tops.len()
        ));
        Ok(Self::Groups)
    }
}

/// Whether a name with a number may number classes: `grade_2`, `2`.
pub(super) fn numbers_classes(name: &str) -> bool {
    let word = names::plain(name.trim_matches(|c: char| c.is_ascii_digit()));
    matches!(&*word, "" | "class" | "grade" | "stage" | "level" | "label" | "category" | "type" | "score")
}

/// By the folder it lies in, or by its own name.
fn is_mask(path: &Path, case: &Path) -> bool {
    let inside = path.strip_prefix(case).ok().and_then(Path::parent).into_iter().flat_map(Path::components);
    let mut folders = inside.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let stem = walk::stem(path);
    folders.any(|name| names::is_masks(&name, true))
        || names::is_masks(&stem, true)
        || names::image_of_mask(&stem).is_some()
        || names::is_numbered_mask(&stem)
}
