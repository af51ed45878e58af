//! Rules of the house that can be read off the tree; ARCHITECTURE.md lists them as invariants.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::PathBuf, process::Command};

use common::workspace_dir;
use serde_json::Value;

/// Rust files below folders of the workspace.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| workspace_dir().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(workspace_dir()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Code without comments: a rule is about what is used, not about what is explained.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[track_caller]
fn nobody_names(names: &[&str], files: impl Iterator<Item = (PathBuf, String)>) {
    for (path, text) in files {
        for line in code(&text) {
            let named = names.iter().find(|name| line.match_indices(*name).any(|(at, _)| !line[..at].ends_with(is_word)));
            assert_eq!(named, None, "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_library_does_not_name_gstreamer() {
    let library = sources(&["src"]).into_iter().filter(|(path, _)| !path.starts_with("src/cli"));
    nobody_names(&["gst::", "gst_app", "gst_video", "gst_base", "gstreamer::"], library);
}

#[test]
fn only_the_engine_names_onnx_runtime() {
    let others = sources(&["src", "plugins"]).into_iter().filter(|(path, _)| !path.starts_with("src/engine"));
    nobody_names(&["use ort", "ort::", "extern crate ort"], others);
    let plugin = fs::read_to_string(workspace_dir().join("plugins/unioodfilter/Cargo.toml")).unwrap();
    assert!(!plugin.lines().any(|line| line.starts_with("ort")));
}

#[test]
fn every_package_takes_the_workspaces_lints_and_they_forbid_unsafe() {
    let root = fs::read_to_string(workspace_dir().join("Cargo.toml")).unwrap();
    assert!(root.contains("unsafe_code = \"forbid\""));
    for manifest in manifests() {
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
    }
}

#[test]
fn every_channel_is_bounded() {
    nobody_names(&["unbounded(", "unbounded::<", "mpsc::channel"], sources(&["src", "plugins"]).into_iter());
}

#[test]
fn serialised_forms_live_in_one_file_each() {
    for schema in ["uniood.frame/", "uniood.track/", "uniood.models/", "uniood.graph/", "uniood.eval/", "uniood.settings/"] {
        let constant = format!("= \"{schema}");
        let files: Vec<_> =
            sources(&["src", "plugins"]).into_iter().filter(|(_, text)| text.contains(&constant)).map(|(path, _)| path).collect();
        assert_eq!(files.len(), 1, "{schema}: {files:?}");
    }
}

/// Licences that ours may be shipped with. This stands for `cargo deny check licenses`, which takes minutes to
/// compile on a fresh machine.
const LICENCES: [&str; 14] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "IJG",
    "OFL-1.1",
    "Unlicense",
];

/// Packages whose expression is satisfied in another way, each with the reason.
const EXCEPTIONS: [(&str, &str); 1] =
    [("epaint_default_fonts", "its Ubuntu font (UFL) is not linked in: the overlay takes the Hack font (MIT, Bitstream Vera) alone")];

#[test]
fn every_dependency_has_a_licence_that_ours_may_be_shipped_with() {
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(allowed(licence), "{name} is under {licence}");
    }
}

#[test]
fn every_dependency_comes_from_the_registry_or_this_workspace() {
    for package in metadata()["packages"].as_array().unwrap() {
        let source = package["source"].as_str();
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{}: {source:?}", package["name"]);
    }
}

/// Whether an SPDX expression can be satisfied: `/` is an old `OR`, `AND` binds tighter, exceptions only add rights.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    let plain = plain.trim();
    let whole = plain.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|inner| balanced(inner));
    if let Some(inner) = whole {
        return allowed(inner);
    }
    if let Some(parts) = split(plain, " OR ") {
        return parts.iter().any(|part| allowed(part));
    }
    if let Some(parts) = split(plain, " AND ") {
        return parts.iter().all(|part| allowed(part));
    }
    LICENCES.contains(&plain.split(" WITH ").next().unwrap().trim())
}

fn balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    }) && depth == 0
}

/// Parts between separators that stand in no parentheses; `None` where there is no such separator.
fn split<'a>(text: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let at = text.match_indices(separator).map(|(at, _)| at).find(|at| balanced(&text[..*at]))?;
    let (first, rest) = (&text[..at], &text[at + separator.len()..]);
    let mut parts = vec![first];
    parts.extend(split(rest, separator).unwrap_or_else(|| vec![rest]));
    Some(parts)
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for (expression, wanted) in [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-3.0", false),
        ("GPL-3.0 AND (MIT OR ISC)", false),
    ] {
        assert_eq!(allowed(expression), wanted, "{expression}");
    }
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(workspace_dir().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn manifests() -> Vec<PathBuf> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| package["source"].is_null()).map(|package| package["manifest_path"].as_str().unwrap().into()).collect()
}

#[test]
fn every_path_of_the_code_map_exists() {
    let page = fs::read_to_string(workspace_dir().join("ARCHITECTURE.md")).unwrap();
    let paths: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| ["src/", "plugins/", "tests/", "benches/"].iter().any(|folder| code.starts_with(folder)))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(workspace_dir().join(path).exists(), "{path}");
    }
}

/// As GitHub makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|&c| is_word(c) || c == '-' || c == ' ');
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let listed =
        Command::new("git").arg("-C").arg(workspace_dir()).args(["ls-files", "-co", "--exclude-standard", "*.md"]).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut links = 0;
    for page in String::from_utf8(listed.stdout).unwrap().lines() {
        let page = workspace_dir().join(page);
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains("://")) {
            links += 1;
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
            assert!(file.exists(), "{}: {target}", page.display());
            if !fragment.is_empty() {
                let there = fs::read_to_string(&file).unwrap();
                let mut headings =
                    there.lines().filter_map(|line| Some(line.trim_start_matches('#')).filter(|rest| rest.len() < line.len()));
                assert!(headings.any(|heading| anchor(heading) == fragment), "{}: {target}", page.display());
            }
        }
    }
    assert!(links > 20, "{links}");
}
