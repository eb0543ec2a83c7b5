//! Archives to folders, where nothing an archive says can write outside the folder.
//!
//! Only plain files and folders are taken. Absolute names, `..`, links and devices refuse the whole archive.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;

/// Unpacks `archive` (`.tar.gz`, `.tgz`, `.tar`, `.zip`, `.gz`; anything else is copied) into `dir`, dropping the first
/// `strip` folders of each name. Gives the number of files.
pub fn unpack(archive: &Path, dir: &Path, strip: usize) -> anyhow::Result<usize> {
    let name = archive.file_name().and_then(|name| name.to_str()).context("the archive has no readable name")?;
    let open = || File::open(archive).with_context(|| format!("cannot read {}", archive.display()));
    fs::create_dir_all(dir)?;
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        from_tar(GzDecoder::new(open()?), dir, strip)
    } else if name.ends_with(".tar") {
        from_tar(open()?, dir, strip)
    } else if name.ends_with(".zip") {
        from_zip(open()?, dir, strip)
    } else {
        match name.strip_suffix(".gz") {
            Some(inner) => write(&mut GzDecoder::new(open()?), &dir.join(inner))?,
            None => write(&mut open()?, &dir.join(name))?,
        }
        Ok(1)
    }
}

fn from_tar(source: impl Read, dir: &Path, strip: usize) -> anyhow::Result<usize> {
    let mut files = 0;
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry.context("the archive is damaged")?;
        let name = entry.path()?.into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                inside(&name)?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                files += usize::from(place(&mut entry, &name, dir, strip)?)
            }
            // What writers say about the archive itself.
            tar::EntryType::XGlobalHeader => {}
            other => bail!("{} is neither file nor folder ({other:?}): refused", name.display()),
        }
    }
    Ok(files)
}

fn from_zip(source: impl Read + Seek, dir: &Path, strip: usize) -> anyhow::Result<usize> {
    let mut archive = zip::ZipArchive::new(source).context("the archive is damaged")?;
    let mut files = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).context("the archive is damaged")?;
        let name = PathBuf::from(&*entry.name().context("the archive is damaged")?);
        // The file type of Unix modes: nothing said, or a plain file or folder.
        if !matches!(entry.unix_mode().unwrap_or(0) & 0o170_000, 0 | 0o100_000 | 0o040_000) {
            bail!("{} is neither file nor folder: refused", name.display());
        }
        if entry.is_dir() {
            inside(&name)?;
        } else {
            files += usize::from(place(&mut entry, &name, dir, strip)?);
        }
    }
    Ok(files)
}

/// Writes one file of an archive; false if it is none of the data.
fn place(source: &mut impl Read, name: &Path, dir: &Path, strip: usize) -> anyhow::Result<bool> {
    let parts = inside(name)?;
    let target: PathBuf = parts.iter().skip(strip).collect();
    // What macOS puts beside every file.
    let resource = |part: &str| part.starts_with("._") || part == "__MACOSX" || part == ".DS_Store";
    if target.as_os_str().is_empty() || parts.iter().any(|part| resource(part)) {
        return Ok(false);
    }
    write(source, &dir.join(target))?;
    Ok(true)
}

/// The parts of a name that stays inside.
fn inside(name: &Path) -> anyhow::Result<Vec<String>> {
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) if !part.to_string_lossy().contains('\\') => {
                parts.push(part.to_string_lossy().into_owned())
            }
            Component::CurDir => {}
            _ => bail!("{} leads out of the folder: refused", name.display()),
        }
    }
    Ok(parts)
}

fn write(source: &mut impl Read, target: &Path) -> anyhow::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    // `create_new` follows no link and replaces nothing.
    let mut out = File::create_new(target).with_context(|| format!("cannot write {}", target.display()))?;
    std::io::copy(source, &mut out).with_context(|| format!("cannot unpack {}", target.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

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
        use tar::EntryType::{Link, Regular, Symlink};
        for (index, (name, kind)) in
            [("../evil", Regular), ("/tmp/evil", Regular), ("a/../../evil", Regular), ("link", Symlink), ("link", Link)]
                .iter()
                .enumerate()
        {
            let (archive, out) = (dir.path().join(format!("{index}.tar")), dir.path().join(format!("out{index}")));
            tar(&archive, &[(name, "x", *kind)]);
            let error = unpack(&archive, &out, 0).unwrap_err().to_string();
            assert!(error.contains("refused"), "{name}: {error}");
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
    fn single_files_lose_their_gz() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("digits.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::fast());
        encoder.write_all(b"0123").unwrap();
        encoder.finish().unwrap();
        let out = dir.path().join("out");
        assert_eq!(unpack(&archive, &out, 0).unwrap(), 1);
        assert_eq!(fs::read(out.join("digits")).unwrap(), b"0123");
        assert!(unpack(&archive, &out, 0).is_err(), "nothing is replaced");
    }
}
