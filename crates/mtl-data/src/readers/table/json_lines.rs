//! Tables as JSON Lines: one object per line, its keys are the columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Separates the labels of a list in one cell.
const LIST: &str = "|";

/// The objects of a file as a table.
#[derive(Debug)]
pub(super) struct Objects {
    pub header: Vec<String>,
    /// The number of each line in the file, and its cells.
    pub lines: Vec<(u64, Vec<String>)>,
    /// Keys with values that are no cells, which are left out, and their lines.
    pub nested: Vec<(String, Vec<u64>)>,
    /// Keys that some lines lack, and how many.
    pub missing: Vec<(String, usize)>,
}

/// The first `limit` lines. Lists of words become one cell (`cat|dog`); keys with other lists or objects are left out.
///
/// # Errors
/// The number of a line that is no object, and the reason.
pub(super) fn parse(text: &str, limit: usize) -> Result<Objects, (u64, String)> {
    let mut objects: Vec<(u64, Map<String, Value>)> = Vec::new();
    let filled = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in filled.take(limit) {
        match serde_json::from_str(line) {
            Ok(object) => objects.push((number, object)),
            // The first lines tell what the file is; its faults are found when all of it is read.
            Err(_) if limit < usize::MAX && !objects.is_empty() => break,
            Err(error) => {
                let reason = format!("no JSON object ({error}); a table of JSON Lines has one object per line");
                return Err((number, reason));
            }
        }
    }
    let mut header: Vec<String> = Vec::new();
    let mut present = BTreeMap::<&String, usize>::new();
    let mut nested = BTreeMap::<&String, Vec<u64>>::new();
    for (number, object) in &objects {
        for (key, value) in object {
            let count = present.entry(key).or_default();
            if *count == 0 {
                header.push(key.clone());
            }
            *count += 1;
            if cell(value).is_none() {
                nested.entry(key).or_default().push(*number);
            }
        }
    }
    header.retain(|key| !nested.contains_key(key));
    let missing = header.iter().map(|key| (key.clone(), objects.len() - present[key]));
    let missing = missing.filter(|(_, count)| *count > 0).collect();
    let cells = |object: &Map<String, Value>| {
        header.iter().map(|key| object.get(key).and_then(cell).unwrap_or_default()).collect()
    };
    let lines = objects.iter().map(|(number, object)| (*number, cells(object))).collect();
    let nested = nested.into_iter().map(|(key, lines)| (key.clone(), lines)).collect();
    Ok(Objects { header, lines, nested, missing })
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
        let table = parse(text, usize::MAX).unwrap();
        let column = |name: &str| table.header.iter().position(|key| key == name);
        let cell = |line: usize, name: &str| column(name).map(|at| table.lines[line].1[at].as_str());
        assert_eq!((cell(0, "tags"), cell(0, "size"), cell(1, "size")), (Some("p|q"), Some(""), Some("2.5")));
        assert_eq!((cell(1, "kind"), cell(1, "ok"), column("boxes")), (Some(""), Some("true"), None));
        assert_eq!(table.lines[1].0, 3);
        assert_eq!(table.nested, [("boxes".to_owned(), vec![1])]);
        assert!(table.missing.contains(&("tags".to_owned(), 1)), "{:?}", table.missing);
        let (line, reason) = parse("{\"a\": 1}\n[1]\n", usize::MAX).unwrap_err();
        assert!(line == 2 && reason.starts_with("no JSON object"), "{line}: {reason}");
        assert_eq!(parse("{\"a\": 1}\n[1]\n", 9).unwrap().lines.len(), 1);
    }
}
