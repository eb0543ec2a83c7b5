use super::*;

/// Unpacks with room for a megabyte.
fn unpack(archive: &Path, dir: &Path, strip: usize) -> Result<usize, Error> {
    super::unpack(archive, dir, strip, &mut Budget::new(1 << 20))
}

/// A tar file with these entries: name, content, type.
fn tar(path: &Path, entries: &[(&str, &str, tar::EntryType)]) {
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    for (name, content, kind) in entries {
        let mut header = tar::Header::new_ustar();
        // The writer refuses bad names; an attacker's does not.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
        }
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.finish().unwrap();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_and_folders_come_out_without_the_leading_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, out) = (dir.path().join("a.tar"), dir.path().join("out"));
    use tar::EntryType::{Directory, Regular};
    tar(
        &archive,
        &[
            ("top/", "", Directory),
            ("top/x/a.txt", "A", Regular),
            ("top/._a.txt", "junk", Regular),
            ("./top/b.txt", "B", Regular),
        ],
    );
    assert_eq!(unpack(&archive, &out, 1).unwrap(), 2);
    assert_eq!(fs::read_to_string(out.join("x/a.txt")).unwrap(), "A");
    assert_eq!(fs::read_to_string(out.join("b.txt")).unwrap(), "B");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
}

#[test]
fn archives_that_lead_out_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    use tar::EntryType::{Block, Link, Regular, Symlink};
    for (index, (name, kind)) in [
        ("../evil", Regular),
        ("/tmp/evil", Regular),
        ("a/../../evil", Regular),
        ("a\\..\\evil", Regular),
        ("link", Symlink),
        ("link", Link),
        ("disk", Block),
    ]
    .iter()
    .enumerate()
    {
        let (archive, out) = (dir.path().join(format!("{index}.tar")), dir.path().join(format!("out{index}")));
        tar(&archive, &[(name, "x", *kind)]);
        let error = unpack(&archive, &out, 0).unwrap_err().to_string();
        assert!(error.contains("refused") && error.contains(name) && error.contains(".tar"), "{name}: {error}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{name}");
    }
    assert!(!dir.path().join("evil").exists());
}

#[test]
fn zip_files_too() {
    let dir = tempfile::tempdir().unwrap();
    for (name, good) in [("top/a.txt", true), ("../evil.txt", false)] {
        let archive = dir.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(File::create(&archive).unwrap());
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"A").unwrap();
        writer.finish().unwrap();
        let out = dir.path().join(format!("out-{good}"));
        assert_eq!(unpack(&archive, &out, 1).is_ok(), good, "{name}");
        assert_eq!(out.join("a.txt").is_file(), good);
    }
    assert!(!dir.path().join("evil.txt").exists());
}

#[test]
fn links_in_zip_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, out) = (dir.path().join("a.zip"), dir.path().join("out"));
    let mut writer = zip::ZipWriter::new(File::create(&archive).unwrap());
    writer.add_symlink("link", "/etc", zip::write::SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
    let error = unpack(&archive, &out, 0).unwrap_err().to_string();
    assert!(error.contains("`link`") && error.contains("refused"), "{error}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn single_files_lose_their_gz() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("digits.gz");
    fs::write(&archive, gzip(b"0123")).unwrap();
    let out = dir.path().join("out");
    assert_eq!(unpack(&archive, &out, 0).unwrap(), 1);
    assert_eq!(fs::read(out.join("digits")).unwrap(), b"0123");
    assert!(unpack(&archive, &out, 0).is_err(), "nothing is replaced");
}

#[test]
fn all_members_of_a_gzip_file_are_read_and_padding_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("digits.gz");
    fs::write(&archive, [gzip(b"01"), gzip(b"23"), vec![0; 512]].concat()).unwrap();
    unpack(&archive, &dir.path().join("out"), 0).unwrap();
    assert_eq!(fs::read(dir.path().join("out/digits")).unwrap(), b"0123");
}

#[test]
fn a_file_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar");
    tar(&archive, &[("a", "1", tar::EntryType::Regular), ("a", "2", tar::EntryType::Regular)]);
    let error = unpack(&archive, &dir.path().join("out"), 0).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
}

#[test]
fn archives_that_expand_without_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let zeros = vec![0_u8; 1 << 20];
    let single = dir.path().join("bomb.gz");
    fs::write(&single, gzip(&zeros)).unwrap();

    let packed = dir.path().join("bomb.zip");
    let mut writer = zip::ZipWriter::new(File::create(&packed).unwrap());
    writer.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&zeros).unwrap();
    writer.finish().unwrap();

    let taped = dir.path().join("bomb.tar.gz");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(zeros.len() as u64);
    header.set_mode(0o644);
    // A name that is skipped: reading past it costs as much.
    builder.append_data(&mut header, ".DS_Store", zeros.as_slice()).unwrap();
    fs::write(&taped, gzip(&builder.into_inner().unwrap())).unwrap();

    for (index, bomb) in [single, packed, taped].iter().enumerate() {
        assert!(fs::metadata(bomb).unwrap().len() < 10_000);
        let out = dir.path().join(index.to_string());
        let error = super::unpack(bomb, &out, 0, &mut Budget::new(100_000)).unwrap_err().to_string();
        assert!(error.contains("more than 100000 bytes") && error.contains("max_unpacked_bytes"), "{error}");
        let written: u64 = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(written <= 100_000, "{written}");
        assert!(super::unpack(bomb, &dir.path().join(format!("{index}b")), 0, &mut Budget::new(2 << 20)).is_ok());
    }
}

#[test]
fn the_limit_counts_all_archives_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar");
    tar(&archive, &[("a", "1", tar::EntryType::Regular), ("b", "2", tar::EntryType::Regular)]);
    let mut budget = Budget::new(fs::metadata(&archive).unwrap().len() * 2 - 1);
    super::unpack(&archive, &dir.path().join("first"), 0, &mut budget).unwrap();
    assert!(super::unpack(&archive, &dir.path().join("second"), 0, &mut budget).is_err());
    let error = super::unpack(&archive, &dir.path().join("third"), 0, &mut Budget::with_files(1 << 20, 1)).unwrap_err();
    assert!(error.to_string().contains("more than 1 files"), "{error}");
}

#[test]
fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.tar");
    tar(&whole, &[("a", &"x".repeat(5000), tar::EntryType::Regular)]);
    let bytes = fs::read(&whole).unwrap();
    let mut flipped = gzip(&bytes);
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    for (index, (name, content)) in [
        ("short.tar", bytes[..3000].to_vec()),
        ("short.tar.gz", gzip(&bytes)[..60].to_vec()),
        ("flipped.tar.gz", flipped.clone()),
        ("flipped.gz", flipped),
        ("none.zip", b"<html>404</html>".to_vec()),
        ("none.tgz", b"<html>404</html>".to_vec()),
    ]
    .into_iter()
    .enumerate()
    {
        let archive = dir.path().join(name);
        fs::write(&archive, content).unwrap();
        let error = unpack(&archive, &dir.path().join(index.to_string()), 0).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}
