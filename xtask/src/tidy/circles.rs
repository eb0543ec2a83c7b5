//! Imports between the files of one crate: no circle (`a.rs` uses `b.rs`, and `b.rs` uses `a.rs`, directly or through others),
//! and, where a crate has an order of rooms, no import from an earlier room. What is read are `use` declarations; paths written
//! out in code are not.

use std::collections::{BTreeMap, BTreeSet};

/// A source file of a crate: its module path (`["run", "stage"]`; empty for the crate root) and its text.
#[derive(Clone, Debug)]
pub struct Module {
    pub path: Vec<String>,
    pub text: String,
}

/// The module path of `src/run/stage.rs` and the like, relative to `src`.
pub fn module_path(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The rooms of a crate, in the order in which they import each other.
const ROOMS: &[(&str, &[&str])] =
    &[("mtl-train", &["run", "eval", "data", "store", "event", "record", "config", "error"])];

/// A sentence per circle and per import against the order of rooms. A parent that re-exports its own modules is not part of a
/// circle.
pub fn check(krate: &str, modules: &[Module]) -> Vec<String> {
    let edges = edges(modules);
    let mut problems = circles(krate, modules, &edges);
    let rooms = ROOMS.iter().find(|(name, _)| *name == krate).map_or(&[][..], |(_, rooms)| rooms);
    let room = |at: usize| rooms.iter().position(|room| modules[at].path.first().is_some_and(|name| name == room));
    for (from, imports) in edges.iter().enumerate() {
        for &to in imports.iter().filter(|&&to| room(from).zip(room(to)).is_some_and(|(from, to)| to < from)) {
            let names = [from, to].map(|at| modules[at].path.join("::"));
            problems.push(format!("{krate}: `{}` imports `{}`, which lies in an earlier room", names[0], names[1]));
        }
    }
    problems
}

/// The modules that each module imports.
fn edges(modules: &[Module]) -> Vec<BTreeSet<usize>> {
    let known: BTreeMap<&[String], usize> = modules.iter().enumerate().map(|(at, m)| (&m.path[..], at)).collect();
    let of = |module: &Module| {
        let paths = imports(&module.text).into_iter();
        let paths = paths.filter_map(|(public, path)| Some((public, absolute(&module.path, &path)?)));
        let others = paths.filter(|(public, path)| !(*public && path.starts_with(&module.path)));
        others.filter_map(|(_, path)| owner(&known, &path)).filter(|&to| modules[to].path != module.path).collect()
    };
    modules.iter().map(of).collect()
}

fn circles(krate: &str, modules: &[Module], edges: &[BTreeSet<usize>]) -> Vec<String> {
    let mut reported = BTreeSet::new();
    let mut problems = Vec::new();
    for start in 0..modules.len() {
        let Some(circle) = circle_from(start, edges) else { continue };
        if reported.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
            let names: Vec<String> = circle.iter().map(|&at| format!("`{}`", modules[at].path.join("::"))).collect();
            problems.push(format!("{krate}: import circle {} -> {}", names.join(" -> "), names[0]));
        }
    }
    problems
}

/// The shortest circle through `start`.
fn circle_from(start: usize, edges: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &next in &edges[at] {
            if next == start {
                let mut circle = vec![at];
                while let Some(&earlier) = before.get(circle.last()?) {
                    circle.push(earlier);
                }
                circle.reverse();
                return Some(circle);
            }
            if next != start && !before.contains_key(&next) {
                before.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The module that an absolute path names, or the one that an item of that path lies in.
fn owner(known: &BTreeMap<&[String], usize>, path: &[String]) -> Option<usize> {
    (0..=path.len()).rev().find_map(|length| known.get(&path[..length])).copied()
}

/// A path relative to the crate root; `None` for other crates.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat())
        }
        _ => None,
    }
}

/// The paths of all `use` declarations outside of tests, and whether they are re-exports.
fn imports(text: &str) -> Vec<(bool, Vec<String>)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let line_start = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let before = rest[line_start..at].trim();
        let public = before == "pub" || (before.starts_with("pub(") && before.ends_with(')'));
        let declared = before.is_empty() || public;
        rest = &rest[at + 4..];
        if let (true, Some(end)) = (declared, rest.find(';')) {
            let mut paths = Vec::new();
            tree(&rest[..end].replace(['\n', ' '], ""), &mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| (public, path)));
            rest = &rest[end..];
        }
    }
    found
}

/// Expands `a::{b, c::d}`.
fn tree(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    let head = text.split('{').next().unwrap_or(text);
    prefix.extend(head.split("::").filter(|part| !part.is_empty()).map(str::to_owned));
    match text.find('{') {
        None => found.push(prefix.clone()),
        Some(open) => {
            let inner = &text[open + 1..text.rfind('}').unwrap_or(text.len())];
            let (mut level, mut from) = (0, 0);
            for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
                match c {
                    '{' => level += 1,
                    '}' => level -= 1,
                    ',' if level == 0 => {
                        if from < at {
                            tree(&inner[from..at], prefix, found);
                        }
                        from = at + 1;
                    }
                    _ => {}
                }
            }
        }
    }
    prefix.truncate(depth);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(file: &str, text: &str) -> Module {
        Module { path: module_path(file), text: text.into() }
    }

    #[test]
    fn circles_are_found_and_trees_are_not() {
        let root = module("lib.rs", "mod a;\nmod b;\npub use a::A;\n");
        let (a, b) = (module("a.rs", "use crate::b::B;\n"), module("b/mod.rs", "use std::fmt;\n"));
        assert!(check("x", &[root.clone(), a.clone(), b]).is_empty());
        let back = module("b/mod.rs", "use super::{c::C,\n    a::{A, B}};\n");
        let found = check("x", &[root.clone(), a.clone(), back]);
        assert_eq!(found, ["x: import circle `a` -> `b` -> `a`"]);
        let in_tests = module("b/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n");
        assert!(check("x", &[root, a, in_tests]).is_empty());
    }

    #[test]
    fn rooms_import_later_rooms_only() {
        let (run, store) =
            (module("run/mod.rs", "use crate::store::A;\n"), module("store/mod.rs", "pub(crate) use b::B;\n"));
        let inner = module("store/b.rs", "use crate::config::C;\n");
        assert!(check("mtl-train", &[run.clone(), store.clone(), inner]).is_empty());
        let back = module("store/b.rs", "pub use crate::run::R;\n");
        let found = check("mtl-train", &[module("run/mod.rs", ""), store, back]);
        assert_eq!(found, ["mtl-train: `store::b` imports `run`, which lies in an earlier room"]);
    }
}
