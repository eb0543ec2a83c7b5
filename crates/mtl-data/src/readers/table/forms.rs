//! Numbers that are not written plainly: with a unit, separators of thousands, or a comma as the decimal point.
//!
//! One form must hold for all cells of a column. Where two forms hold and give different numbers, none is taken.

use std::collections::{BTreeMap, BTreeSet};

use super::units::is_unit;

/// More different whole numbers than these are measured values, unless they count from 0 or 1 without gaps.
pub(super) const MAX_NUMBERS: usize = 20;

/// A finite number, written with digits.
pub(super) fn number(cell: &str) -> Option<f64> {
    let number: f64 = cell.parse().ok()?;
    (number.is_finite() && cell.contains(|c: char| c.is_ascii_digit())).then_some(number)
}

/// How a number is written: the decimal point, and the separator of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    point: char,
    thousands: Option<char>,
}

const PLAIN: Form = Form { point: '.', thousands: None };
const DECIMAL_COMMA: Form = Form { point: ',', thousands: None };
const COMMA_THOUSANDS: Form = Form { point: '.', thousands: Some(',') };
const POINT_THOUSANDS: Form = Form { point: ',', thousands: Some('.') };
/// The rest: their separators leave one reading only.
const OTHERS: [Form; 4] = [
    Form { point: '.', thousands: Some(' ') },
    Form { point: ',', thousands: Some(' ') },
    Form { point: '.', thousands: Some('\'') },
    Form { point: ',', thousands: Some('\'') },
];

/// What else decides between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// The table's columns are separated by `;`, as where the comma is the decimal point.
    pub semicolons: bool,
    /// Another cell of the table has a decimal comma.
    pub decimal_commas: bool,
    /// A setting says that the column holds numbers.
    pub numbers: bool,
}

/// The cells of a column.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// Plain numbers, or no numbers.
    AsIs,
    /// Words, although they look like numbers, for this reason.
    Words(String),
    /// Numbers in a form of their own, written plainly here, and sentences about the form.
    Numbers { cells: Vec<Option<String>>, unit: String, thousands: bool, said: Vec<String> },
    /// Numbers that could be read in two ways, or that have different forms: the reason.
    Unclear(String),
}

/// Reads the cells of a column, `None` where the label is missing.
pub(super) fn read(cells: &[Option<String>], around: Around) -> Written {
    let present: Vec<&str> = cells.iter().flatten().map(String::as_str).collect();
    let plain = present.iter().all(|cell| number(cell).is_some());
    if present.is_empty() || (plain && !(around.semicolons && around.decimal_commas)) {
        return Written::AsIs;
    }
    let Some(parts) = present.iter().map(|cell| Parts::of(cell)).collect::<Option<Vec<Parts>>>() else {
        return Written::AsIs;
    };
    let mut units: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (at, parts) in parts.iter().enumerate() {
        units.entry(&parts.unit).or_insert((0, at)).0 += 1;
    }
    if units.keys().any(|unit| !unit.is_empty() && !is_unit(unit)) || is_lists(&present) {
        return Written::AsIs;
    }
    let different = present.iter().collect::<BTreeSet<_>>().len();
    let few = different <= MAX_NUMBERS && 2 * different <= present.len();
    if units.len() > 1 {
        let list: Vec<String> = units.iter().map(|(unit, (count, at))| mention(unit, *count, present[*at])).collect();
        let reason = format!("numbers in different units ({})", list.join(", "));
        return if few && !around.numbers {
            Written::Words(format!("{reason}: read as words"))
        } else {
            Written::Unclear(format!("{reason}: write all in one unit"))
        };
    }
    let unit = parts[0].unit.clone();
    let whole = parts.iter().all(|parts| parts.body.chars().all(|c| c.is_ascii_digit()));
    let attached = parts.iter().all(|parts| !parts.spaced);
    if unit.chars().count() == 1 && unit.chars().all(char::is_alphabetic) && whole && attached && few && !around.numbers
    {
        return Written::Words(format!("`{}` and others may be numbers in `{unit}`: read as words", present[0]));
    }
    match form(&parts, around) {
        Ok(PLAIN) if unit.is_empty() => Written::AsIs,
        Ok(form) => numbers(cells, form, &parts, unit),
        Err(reason) => Written::Unclear(reason),
    }
}

/// `mm` in 10 cells, such as `3 mm`.
fn mention(unit: &str, count: usize, example: &str) -> String {
    let unit = if unit.is_empty() { "none".to_owned() } else { format!("`{unit}`") };
    format!("{unit} {count}, such as `{example}`")
}

/// Whether commas separate labels: the parts of all such cells are cells of their own.
fn is_lists(present: &[&str]) -> bool {
    let alone: BTreeSet<&str> = present.iter().copied().collect();
    let mut with = present.iter().filter(|cell| cell.contains(',')).peekable();
    with.peek().is_some() && with.all(|cell| cell.split(',').all(|part| alone.contains(part.trim())))
}

/// The form of all cells; the reason if none holds for all, or two do.
fn form(parts: &[Parts], around: Around) -> Result<Form, String> {
    let holds = |form: Form| parts.iter().all(|parts| form.read(&parts.body).is_some());
    let with = |mark: char| parts.iter().find(|parts| parts.body.contains(mark)).map(|parts| parts.body.as_str());
    if holds(PLAIN) {
        return match with('.') {
            Some(cell) if around.semicolons && around.decimal_commas && holds(POINT_THOUSANDS) => Err(format!(
                "`{cell}` may be a decimal or have a separator of thousands, as other columns have decimal commas: write it \
                 without the point, or with a comma"
            )),
            _ => Ok(PLAIN),
        };
    }
    if holds(DECIMAL_COMMA) {
        let thousands = holds(COMMA_THOUSANDS);
        return match (thousands, around.semicolons) {
            (_, true) => Ok(DECIMAL_COMMA),
            (true, false) => Ok(COMMA_THOUSANDS),
            (false, false) if around.numbers || !parts[0].unit.is_empty() => Ok(DECIMAL_COMMA),
            (false, false) => {
                let cell = with(',').unwrap_or_default();
                Err(format!("`{cell}` may be one number or two: write the decimal point as `.`"))
            }
        };
    }
    [COMMA_THOUSANDS, POINT_THOUSANDS].into_iter().chain(OTHERS).find(|&form| holds(form)).ok_or_else(|| {
        let first = |form: Form| parts.iter().find(|parts| form.read(&parts.body).is_none());
        let examples: BTreeSet<&str> =
            [PLAIN, DECIMAL_COMMA].into_iter().filter_map(first).map(|parts| parts.body.as_str()).collect();
        let examples: Vec<&str> = examples.into_iter().collect();
        format!("numbers in different forms, such as `{}`: write all in one form", examples.join("` and `"))
    })
}

fn numbers(cells: &[Option<String>], form: Form, parts: &[Parts], unit: String) -> Written {
    let mut said = Vec::new();
    let example = |mark: char| {
        let with: Vec<&Parts> = parts.iter().filter(|parts| parts.body.contains(mark)).collect();
        with.first().map(|first| (with.len(), first.body.clone()))
    };
    if let Some((count, example)) = form.thousands.and_then(example) {
        let mark = form.thousands.unwrap_or_default();
        said.push(format!("`{mark}` separates thousands in {}, such as `{example}`", numbers_words(count)));
    }
    if let Some((count, _)) = example(',').filter(|_| form.point == ',') {
        said.push(format!("the comma is the decimal point of {}", numbers_words(count)));
    }
    let first = cells.iter().flatten().next().map_or("", String::as_str);
    if !unit.is_empty() {
        said.push(format!("all {} cells are numbers with the unit `{unit}`, such as `{first}`", parts.len()));
    }
    let mut plain = parts.iter().map(|parts| form.read(&parts.body).map(|body| format!("{}{body}", parts.sign)));
    let cells = cells.iter().map(|cell| cell.as_ref().and_then(|_| plain.next().flatten())).collect();
    Written::Numbers { cells, unit, thousands: form.thousands.is_some(), said }
}

fn numbers_words(count: usize) -> String {
    if count == 1 { "1 number".to_owned() } else { format!("{count} numbers") }
}

/// A cell taken apart.
#[derive(Debug)]
struct Parts {
    sign: &'static str,
    /// From the first to the last digit, with the marks between them.
    body: String,
    unit: String,
    /// Whether there is a space before the unit.
    spaced: bool,
}

impl Parts {
    /// Sign, number and unit (in front: a currency); `None` if the cell is something else.
    fn of(cell: &str) -> Option<Self> {
        let text: String = cell
            .chars()
            .map(|c| match c {
                '\u{2212}' => '-',
                '\u{2019}' => '\'',
                c if c.is_whitespace() => ' ',
                c => c,
            })
            .collect();
        let mut rest = text.trim();
        let mut sign = "";
        let mut unit = String::new();
        while let Some(c) = rest.chars().next().filter(|c| !c.is_ascii_digit() && *c != '.') {
            match c {
                '-' if sign.is_empty() => sign = "-",
                '+' if sign.is_empty() => sign = "+",
                '$' | '€' | '£' | '¥' if unit.is_empty() => unit.push(c),
                ' ' => {}
                _ => return None,
            }
            rest = &rest[c.len_utf8()..];
        }
        let is_mark = |c: char| matches!(c, '.' | ',' | '\'' | ' ');
        let end = rest.find(|c: char| !c.is_ascii_digit() && !is_mark(c)).unwrap_or(rest.len());
        let (mut body, mut after) = rest.split_at(end);
        if let Some(exponent) = exponent(after) {
            (body, after) = rest.split_at(end + exponent);
        }
        let spaced = body.ends_with(' ');
        let body = body.trim_end();
        if !body.contains(|c: char| c.is_ascii_digit()) || !body.ends_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        if !after.trim().is_empty() {
            if !unit.is_empty() || after.contains(|c: char| c.is_ascii_digit() && !after.contains(char::is_alphabetic))
            {
                return None;
            }
            after.trim().clone_into(&mut unit);
        }
        Some(Self { sign, body: body.to_owned(), unit, spaced })
    }
}

/// Length of `e-05` at the start.
fn exponent(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['e', 'E'])?.trim_start_matches(['+', '-']);
    let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (count > 0).then(|| text.len() - digits.len() + count)
}

impl Form {
    /// The number written plainly; `None` if it is not in this form.
    fn read(self, body: &str) -> Option<String> {
        let (whole, fraction) = body.split_once(self.point).unwrap_or((body, ""));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let plain = match self.thousands {
            None => whole.to_owned(),
            Some(mark) => {
                let groups: Vec<&str> = whole.split(mark).collect();
                let (first, more) = groups.split_first()?;
                let sound = (1..=3).contains(&first.len())
                    && digits(first)
                    && (more.is_empty() || !first.starts_with('0'))
                    && more.iter().all(|group| group.len() == 3 && digits(group))
                    && digits(fraction);
                sound.then(|| groups.concat())?
            }
        };
        let text = if fraction.is_empty() { plain } else { format!("{plain}.{fraction}") };
        number(&text).map(|_| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str], around: Around) -> Written {
        read(&cells.iter().map(|cell| Some((*cell).to_owned())).collect::<Vec<_>>(), around)
    }

    #[track_caller]
    fn numbers_are(cells: &[&str], around: Around, expected: &[&str], unit: &str) {
        match column(cells, around) {
            Written::Numbers { cells: found, unit: of_cells, .. } => {
                let found: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
                assert_eq!((found, of_cells.as_str()), (expected.to_vec(), unit), "{cells:?}");
            }
            other => panic!("{cells:?}: {other:?}"),
        }
    }

    const COMMAS: Around = Around { semicolons: false, decimal_commas: false, numbers: false };
    const SEMICOLONS: Around = Around { semicolons: true, decimal_commas: true, numbers: false };

    #[test]
    fn one_form_holds_for_all_cells() {
        numbers_are(&["12.5 mm", "3 mm", "-0.5 mm"], COMMAS, &["12.5", "3", "-0.5"], "mm");
        numbers_are(&["50%", "12.5%"], COMMAS, &["50", "12.5"], "%");
        numbers_are(&["$1,200.50", "$3"], COMMAS, &["1200.50", "3"], "$");
        numbers_are(&["1,234", "12", "1,234,567"], COMMAS, &["1234", "12", "1234567"], "");
        numbers_are(&["1,234", "0,5"], SEMICOLONS, &["1.234", "0.5"], "");
        numbers_are(&["1.234,5", "12"], SEMICOLONS, &["1234.5", "12"], "");
        numbers_are(&["1\u{a0}234,5 kg", "7 kg"], SEMICOLONS, &["1234.5", "7"], "kg");
        numbers_are(&["1'234", "7"], COMMAS, &["1234", "7"], "");
        numbers_are(&["1e-3 m", "2.5 m", "\u{2212}4 m"], COMMAS, &["1e-3", "2.5", "-4"], "m");
        numbers_are(&["3,5 mm", "4 mm"], COMMAS, &["3.5", "4"], "mm");
        numbers_are(&["12,5", "4"], Around { numbers: true, ..COMMAS }, &["12.5", "4"], "");
    }

    #[test]
    fn two_readings_are_none() {
        for (cells, around, words) in [
            (&["12.5 mm", "1.2 cm", "3"][..], COMMAS, "`cm` 1, such as `1.2 cm`"),
            (&["1,234", "1.5,2"], COMMAS, "different forms"),
            (&["12,345", "12345"], COMMAS, "may be one number or two"),
            (&["12,5", "3,25"], COMMAS, "`12,5` may be one number or two"),
            (&["1.234", "2.500"], SEMICOLONS, "`1.234` may be a decimal"),
        ] {
            match column(cells, around) {
                Written::Unclear(reason) => assert!(reason.contains(words), "{cells:?}: {reason}"),
                other => panic!("{cells:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn words_stay_words() {
        for cells in [&["10x", "20x"][..], &["2D", "3D"], &["1st", "2nd"], &["cat", "3 mm"], &["1", "2", "1,2"], &[]] {
            assert_eq!(column(cells, COMMAS), Written::AsIs, "{cells:?}");
        }
        assert_eq!(column(&["1.234", "2.5"], SEMICOLONS), Written::AsIs);
        let times = ["1h", "2h", "1h", "2h"];
        assert!(matches!(column(&times, COMMAS), Written::Words(_)));
        numbers_are(&times, Around { numbers: true, ..COMMAS }, &["1", "2", "1", "2"], "h");
        assert!(matches!(column(&["30s", "1h", "1h", "30s"], COMMAS), Written::Words(_)));
    }
}
