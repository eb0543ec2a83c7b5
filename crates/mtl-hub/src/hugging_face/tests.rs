use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::loopback::{Answer, listen, response, serve};

/// A grey PNG of 2x2 pixels.
const PNG: [u8; 71] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0, 87, 221, 82,
    248, 0, 0, 0, 14, 73, 68, 65, 84, 120, 218, 99, 16, 80, 96, 48, 112, 0, 0, 1, 118, 0, 161, 241, 88, 196, 130, 0, 0,
    0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

/// A parquet file as the Hub writes it: an image and a label per row.
fn parquet(labels: &[i64]) -> Vec<u8> {
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); } \
                  optional int64 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let images = vec![ByteArray::from(PNG.to_vec()); labels.len()];
    for levels in [2, 2] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&images, Some(&vec![levels; labels.len()]), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(labels, Some(&vec![1; labels.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

/// A Hub with these files in `owner/digits`; it serves until the tests end.
fn hub(files: Vec<(&'static str, Vec<u8>)>) -> Options {
    let (listener, address) = listen();
    std::thread::spawn(move || {
        loop {
            serve(&listener, |head| answer(head, &files));
        }
    });
    Options { endpoint: Some(address) }
}

fn answer(head: &str, files: &[(&str, Vec<u8>)]) -> Answer {
    let revision = "refs%2fconvert%2fparquet";
    let json = "Content-Type: application/json\r\n";
    if head.starts_with(&format!("get /api/datasets/owner/digits/revision/{revision}")) {
        let siblings: Vec<String> = files.iter().map(|(name, _)| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
        let info = format!(r#"{{"id":"owner/digits","siblings":[{}]}}"#, siblings.join(","));
        return response("200 OK", json, info.as_bytes());
    }
    for (index, (name, content)) in files.iter().enumerate() {
        if head.contains(&format!("/datasets/owner/digits/resolve/{revision}/{name} ")) {
            let headers = format!("ETag: \"{index:040x}\"\r\nX-Repo-Commit: {:040x}\r\n", 7);
            let Answer::Bytes(mut bytes) = response("200 OK", &headers, content) else { unreachable!() };
            if head.starts_with("head") {
                bytes.truncate(bytes.len() - content.len());
            }
            return Answer::Bytes(bytes);
        }
    }
    response("404 Not Found", json, br#"{"error":"Repository not found"}"#)
}

#[test]
fn our_reader_opens_what_arrives() {
    let options = hub(vec![
        ("default/train/0000.parquet", parquet(&[0, 1, 1])),
        ("default/test/0000.parquet", parquet(&[1, 0])),
        ("README.md", Vec::new()),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let outcome = download("owner/digits", dir.path(), &options).unwrap();
    assert_eq!(outcome, Outcome { folder: dir.path().join("owner--digits"), files: 2, already_there: false });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "neither cache nor lock stay");
    let dataset = mtl_data::open(&outcome.folder, &mtl_data::OpenOptions::default()).unwrap();
    assert_eq!(dataset.len(), 5);
    assert_eq!((dataset.subset(0), dataset.subset(4)), (Some(mtl_data::Subset::Train), Some(mtl_data::Subset::Test)));
    assert!(download("owner/digits", dir.path(), &options).unwrap().already_there);
}

#[test]
fn one_of_several_configurations_must_be_chosen() {
    let options =
        hub(vec![("small/train/0000.parquet", parquet(&[0])), ("large/train/0000.parquet", parquet(&[0, 1]))]);
    let dir = tempfile::tempdir().unwrap();
    let error = download("owner/digits", dir.path(), &options).unwrap_err().to_string();
    assert!(error.contains("owner/digits") && error.contains("as :CONFIG: small, large"), "{error}");
    let outcome = download("owner/digits:large", dir.path(), &options).unwrap();
    assert_eq!(outcome.folder, dir.path().join("owner--digits--large"));
    assert_eq!(mtl_data::open(&outcome.folder, &mtl_data::OpenOptions::default()).unwrap().len(), 2);
    let error = download("owner/digits:huge", dir.path(), &options).unwrap_err().to_string();
    assert!(error.contains("no configuration huge"), "{error}");
}

#[test]
fn what_cannot_be_downloaded_has_words() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = hub(vec![("default/train/0000.parquet", b"PAR1 but nothing else".to_vec())]);
    let error = download("owner/digits", dir.path(), &damaged).unwrap_err().to_string();
    assert!(error.contains("owner/digits"), "{error}");
    assert!(!dir.path().join("owner--digits").exists());
    let error = download("owner/other", dir.path(), &damaged).unwrap_err().to_string();
    assert!(error.contains("owner/other") && error.contains("not found"), "{error}");
    for name in ["../evil", "a/b/c", "owner/", "owner/digits:../x", ""] {
        let error = download(name, dir.path(), &damaged).unwrap_err().to_string();
        assert!(error.contains("OWNER/NAME"), "{name}: {error}");
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let files = |name: &str| select([name.to_owned()].into_iter(), None);
    let (found, all) = files("default/partial-train/0000.parquet").unwrap();
    assert_eq!(found[0].local, "partial-train-0000.parquet");
    assert!(all);
    for name in ["../../evil.parquet", "a/../evil.parquet", "/a/evil.parquet", "evil.parquet", "a/b/c/d.parquet"] {
        assert!(files(name).is_err(), "{name}");
    }
    assert!(files("README.md").unwrap_err().contains("no parquet files"));
}
