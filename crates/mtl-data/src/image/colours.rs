//! Colours of mask classes in pictures.

use mtl_task::Target;

/// Background black, then eight that differ in hue and lightness (after Okabe and Ito 2008).
pub const CLASS_COLOURS: [[u8; 3]; 9] = [
    [0, 0, 0],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [190, 190, 190],
];

/// Pixels without a label.
pub const UNLABELLED: [u8; 3] = [48, 0, 48];

/// The colour of a class; later classes repeat those after the background. [`Target::NO_PIXEL`] is [`UNLABELLED`].
pub fn class_colour(class: u8) -> [u8; 3] {
    match class {
        0 => CLASS_COLOURS[0],
        Target::NO_PIXEL => UNLABELLED,
        class => CLASS_COLOURS[1 + (usize::from(class) - 1) % (CLASS_COLOURS.len() - 1)],
    }
}
