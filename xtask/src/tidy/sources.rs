//! Rules for single source files.

use std::path::Path;

/// Most lines per file.
const LONGEST: usize = 400;

/// Longer files, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// File names without information about the content.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "base", "helper", "helpers", "misc", "types"];

/// Crates that may print.
const PRINTERS: &[&str] = &["crates/mtl-cli/", "xtask/"];

/// Files that may contain unsafe code: the kernels, and the call that sets the allocator.
const UNSAFE: &[&str] = &["crates/mtl-tensor/", "crates/mtl-cli/src/process.rs"];

/// One message per rule that the file at `path` (relative to the repository) breaks.
pub fn check(path: &Path, text: &str) -> Vec<String> {
    let name = path.to_string_lossy().replace('\\', "/");
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST && !LONG.iter().any(|(long, _)| *long == name) {
        problems.push(format!("{name} has {lines} lines, more than {LONGEST}: divide it by topic"));
    }
    if path.file_stem().is_some_and(|stem| EMPTY_NAMES.iter().any(|empty| stem == *empty)) {
        problems.push(format!("{name}: the name does not describe the content"));
    }
    let library = name.starts_with("crates/")
        && name.contains("/src/")
        && !PRINTERS.iter().any(|printer| name.starts_with(printer));
    let mut in_tests = name.ends_with("/tests.rs");
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        in_tests |= code.starts_with("#[cfg(test)]");
        let at = || format!("{name}:{number}");
        if library && !in_tests && prints(code) {
            problems.push(format!("{}: a library does not print; emit an event", at()));
        }
        if !UNSAFE.iter().any(|place| name.starts_with(place)) && unsafe_code(code) {
            problems.push(format!("{}: unsafe code belongs in the kernels of mtl-tensor", at()));
        }
        if code.starts_with("#[ignore") {
            problems.push(format!("{}: ignored tests are not allowed", at()));
        }
    }
    problems
}

fn prints(code: &str) -> bool {
    ["print!(", "println!(", "dbg!("].iter().any(|word| code.contains(word))
}

fn unsafe_code(code: &str) -> bool {
    ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"].iter().any(|word| code.contains(word))
        && !code.contains('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        check(Path::new(path), text).len()
    }

    #[test]
    fn each_rule_can_be_broken() {
        let library = "crates/mtl-data/src/split.rs";
        assert_eq!(problems(library, "fn f() {}\n"), 0);
        assert_eq!(problems(library, &"\n".repeat(401)), 1);
        assert_eq!(problems("crates/mtl-data/src/utils.rs", ""), 1);
        let print = ["    println", "!(\"x\");\n"].concat();
        assert_eq!(problems(library, &print), 1);
        assert_eq!(problems("crates/mtl-cli/src/main.rs", &print), 0);
        assert_eq!(problems(library, &format!("#[cfg(test)]\nmod tests {{\n{print}}}\n")), 0);
        assert_eq!(problems(library, &format!("//! {print}")), 0);
        let block = ["let x = unsafe", " { 1 };\n"].concat();
        assert_eq!(problems(library, &block), 1);
        assert_eq!(problems("crates/mtl-tensor/src/ops/conv.rs", &block), 0);
        assert_eq!(problems(library, &["#[ign", "ore]\n"].concat()), 1);
    }
}
