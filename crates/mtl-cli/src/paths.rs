//! Paths from the command line: existence checks with suggestions, and shell quoting.

use std::path::Path;

use mtl_registry::nearest;

/// Checks that a path from the command line exists; the error message suggests a similar name beside it.
pub fn must_exist(path: &Path, kind: &str) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut message = format!("{kind} {} does not exist", path.display());
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Err(format!("{message}: directory {} does not exist", parent.display()));
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let wrong = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(name) = nearest(&wrong, names.iter().map(String::as_str)) {
        let meant = if path.parent() == Some(Path::new("")) { name.into() } else { parent.join(name) };
        message += &format!("; did you mean {}?", quoted(&meant));
    }
    Err(message)
}

/// A path as an argument of a shell command.
pub fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

/// A text as an argument of a shell command.
pub fn quoted_text(text: &str) -> String {
    // shlex would quote every `=`, which a shell takes as it is after the first word.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=' | '/');
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        // Only a NUL cannot be quoted, and no argument holds one.
        false => shlex::try_quote(text).map(std::borrow::Cow::into_owned).unwrap_or_else(|_| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("runs/busi-0001")), "runs/busi-0001");
        assert_eq!(quoted(Path::new("benign (1).png")), "'benign (1).png'");
        assert_eq!(quoted(Path::new("it's")), "\"it's\"");
    }

    #[test]
    fn similar_names_are_suggested() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my photos");
        std::fs::create_dir(&path).unwrap();
        assert!(must_exist(&path, "folder").is_ok());
        let wrong = dir.path().join("my photo");
        let expected = format!("folder {} does not exist; did you mean '{}'?", wrong.display(), path.display());
        assert_eq!(must_exist(&wrong, "folder").unwrap_err(), expected);
        let nowhere = dir.path().join("nowhere/photos");
        let expected = format!(
            "folder {0}/photos does not exist: directory {0} does not exist",
            dir.path().join("nowhere").display()
        );
        assert_eq!(must_exist(&nowhere, "folder").unwrap_err(), expected);
    }
}
