use std::io::Write;

use super::*;
use crate::loopback::{Server, impatient, response};

/// A gzip file that holds `0123`.
fn digits() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"0123").unwrap();
    encoder.finish().unwrap()
}

fn manifest(address: &str, limit: u64) -> Manifest {
    let (size, dir) = (digits().len(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join("d"), digits()).unwrap();
    let hash = crate::sha256(&dir.path().join("d")).unwrap();
    let text = format!(
        "name='digits'\nwhat='w'\nreader='idx'\nlicence='l'\ncitation='c'\npage='p'\nmax_unpacked_bytes={limit}\n\
         [[file]]\nurl='{address}/digits.gz'\nsize_bytes={size}\nsha256='{hash}'\n"
    );
    Manifest::parse("digits", &text).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_data_set_arrives_whole_and_is_not_fetched_twice() {
    let server = Server::new(vec![response("200 OK", "", &digits())]);
    let (dir, manifest) = (tempfile::tempdir().unwrap(), manifest(&server.address, 100));
    let root = dir.path().join("new/downloads");
    let download = Download::new(&manifest, &root).http(impatient());
    let mut events = Vec::new();
    let outcome = download.run(&mut |event| events.push(event.to_string())).unwrap();
    assert_eq!(outcome, Outcome { folder: root.join("digits"), files: 1, already_there: false });
    assert_eq!(fs::read(root.join("digits/digits")).unwrap(), b"0123");
    assert_eq!(events.last().unwrap(), "unpacking digits.gz");
    assert_eq!(names(&root), ["digits"], "neither archives nor lock stay");
    assert_eq!(server.requests().len(), 1);
    assert!(download.run(&mut |_| {}).unwrap().already_there);
}

#[test]
fn a_refused_archive_leaves_no_folder_and_keeps_the_download() {
    let server = Server::new(vec![response("200 OK", "", &digits())]);
    let (dir, tight) = (tempfile::tempdir().unwrap(), manifest(&server.address, 3));
    let error = Download::new(&tight, dir.path()).http(impatient()).run(&mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 3, .. }), "{error}");
    assert_eq!(names(dir.path()), ["digits.archives", "digits.lock"]);
    // The server is gone: what was fetched is used.
    server.requests();
    let wide = manifest("http://127.0.0.1:1", 4);
    assert_eq!(Download::new(&wide, dir.path()).http(impatient()).run(&mut |_| {}).unwrap().files, 1);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::take(dir.path(), "digits").unwrap();
    let manifest = manifest("http://127.0.0.1:1", 4);
    let error = Download::new(&manifest, dir.path()).http(impatient()).run(&mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("another process") && error.contains("digits.lock"), "{error}");
    lock.release().unwrap();
    assert!(Lock::take(dir.path(), "digits").is_ok());
}

#[test]
fn archives_fetched_by_hand_are_unpacked_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let busi = crate::dataset("busi").unwrap();
    let error = Download::new(&busi, dir.path()).run(&mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("by hand") && error.contains("--from Dataset_BUSI.zip"), "{error}");
    assert_eq!(names(dir.path()).len(), 0);

    let archive = dir.path().join("Dataset_BUSI.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&archive).unwrap());
    writer.start_file("Dataset_BUSI_with_GT/benign/benign (1).png", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(b"A").unwrap();
    writer.finish().unwrap();
    let outcome = Download::new(&busi, dir.path()).archive(&archive).run(&mut |_| {}).unwrap();
    assert_eq!(outcome.files, 1);
    assert!(dir.path().join("busi/benign/benign (1).png").is_file() && archive.is_file());

    let absent = Download::new(&busi, dir.path().join("other")).archive("nowhere.zip").run(&mut |_| {}).unwrap_err();
    assert!(absent.to_string().contains("cannot read nowhere.zip"), "{absent}");
}
