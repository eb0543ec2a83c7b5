//! Tables as JSON Lines: one object per line, its keys are the columns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::sheet::{Line, Sheet, fail, places};
use crate::error::Error;

/// Separates the labels of a list in one cell.
const LIST: &str = "|";

/// The first `limit` lines. Lists of words become one cell (`cat|dog`); keys with other lists or objects are left out, and said.
///
/// # Errors
/// A line that is no object.
pub(super) fn parse(path: &Path, text: &str, limit: usize) -> Result<Sheet, Error> {
    let mut objects: Vec<(u64, Map<String, Value>)> = Vec::new();
    let filled = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in filled.take(limit) {
        match serde_json::from_str(line) {
            Ok(object) => objects.push((number, object)),
            // The first lines tell what the file is; its faults are found when all of it is read.
            Err(_) if limit < usize::MAX && !objects.is_empty() => break,
            Err(error) => {
                let reason = format!("no JSON object ({error}); a table of JSON Lines has one object per line");
                return Err(fail(path, number, reason));
            }
        }
    }
    let mut header: Vec<String> = Vec::new();
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let (mut nested, mut present) = (BTreeMap::<&String, Vec<u64>>::new(), BTreeMap::<&String, usize>::new());
    for (number, object) in &objects {
        for (key, value) in object {
            if seen.insert(key) {
                header.push(key.clone());
            }
            *present.entry(key).or_default() += 1;
            if cell(value).is_none() {
                nested.entry(key).or_default().push(*number);
            }
        }
    }
    let mut said: Vec<String> = nested
        .iter()
        .map(|(key, lines)| {
            format!("key `{key}` holds lists or objects ({}): it is not read", places(lines.iter().copied()))
        })
        .collect();
    header.retain(|key| !nested.contains_key(key));
    for (key, count) in present.iter().filter(|(key, count)| **count < objects.len() && !nested.contains_key(*key)) {
        said.push(format!(
            "key `{key}` is missing in {} of {} lines: its cells there are blank",
            objects.len() - count,
            objects.len()
        ));
    }
    let line = |(number, object): &(u64, Map<String, Value>)| Line {
        table: 0,
        number: *number,
        cells: header.iter().map(|key| object.get(key).and_then(cell).unwrap_or_default()).collect(),
    };
    let lines = objects.iter().map(line).collect();
    Ok(Sheet { separator: b',', header, lines, blank: 0, utf16: false, said })
}

/// The text of a value; `None` for a list that is not of words, or an object.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Array(parts) => {
            let words: Option<Vec<&str>> =
                parts.iter().map(|part| part.as_str().filter(|word| !word.contains(LIST))).collect();
            words.map(|words| words.join(LIST))
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_lines_and_keys_columns() {
        let text = "{\"file_name\": \"a.png\", \"kind\": \"x\", \"tags\": [\"p\", \"q\"], \"boxes\": [[1, 2]]}\n\n\
                    {\"file_name\": \"b.png\", \"kind\": null, \"size\": 2.5, \"ok\": true}\n";
        let sheet = parse(Path::new("m.jsonl"), text, usize::MAX).unwrap();
        let column = |name: &str| sheet.header.iter().position(|key| key == name);
        let cell = |line: usize, name: &str| column(name).map(|at| sheet.lines[line].cells[at].as_str());
        assert_eq!((cell(0, "tags"), cell(0, "size"), cell(1, "size")), (Some("p|q"), Some(""), Some("2.5")));
        assert_eq!((cell(1, "kind"), cell(1, "ok"), column("boxes")), (Some(""), Some("true"), None));
        assert_eq!(sheet.lines[1].number, 3);
        assert!(sheet.said[0].contains("key `boxes` holds lists or objects (line 1)"), "{:?}", sheet.said);
        assert!(
            sheet.said.iter().any(|said| said.contains("key `tags` is missing in 1 of 2 lines")),
            "{:?}",
            sheet.said
        );
        let error = parse(Path::new("m.jsonl"), "{\"a\": 1}\n[1]\n", 9).unwrap_err().to_string();
        assert!(error.starts_with("m.jsonl:2: no JSON object"), "{error}");
    }
}
