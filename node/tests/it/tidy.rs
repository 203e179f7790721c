//! The house rules as tests: who may import whom, where tokio may live, how long things may get.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use syn::spanned::Spanned as _;
use syn::visit::Visit;

/// Longest function, lines from signature to closing brace.
const FN_LINES: usize = 70;
/// Longest file, lines.
const FILE_LINES: usize = 600;

/// Architecture invariant 1: the import table, exact.
const IMPORTS: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("bus", &["schemas"]),
    ("ingest", &["schemas"]),
    ("forecaster", &["schemas"]),
    ("validator", &["schemas"]),
    ("api", &["schemas"]),
    ("sim", &["schemas"]),
    ("backtests", &["schemas"]),
    ("node", &["api", "backtests", "bus", "forecaster", "ingest", "schemas", "sim", "validator"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> serde_json::Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn normal_dependencies() -> BTreeMap<String, BTreeMap<String, bool>> {
    let mut out = BTreeMap::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let mut deps = BTreeMap::new();
        for dep in package["dependencies"].as_array().unwrap() {
            if dep["kind"].is_null() {
                deps.insert(dep["name"].as_str().unwrap().to_owned(), dep["optional"].as_bool().unwrap());
            }
        }
        out.insert(package["name"].as_str().unwrap().to_owned(), deps);
    }
    out
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources(krate: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for part in ["src", "tests", "benches", "examples"] {
        rust_files(&root().join(krate).join(part), &mut out);
    }
    out.sort();
    out
}

fn all_sources() -> Vec<PathBuf> {
    IMPORTS.iter().flat_map(|(krate, _)| sources(krate)).collect()
}

#[test]
fn the_import_table_is_exact() {
    let deps = normal_dependencies();
    let ours: BTreeSet<&str> = IMPORTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(deps.keys().map(String::as_str).collect::<BTreeSet<_>>(), ours, "crates of the workspace");
    for (name, allowed) in IMPORTS {
        let actual: BTreeSet<&str> =
            deps[*name].keys().map(String::as_str).filter(|d| ours.contains(d)).collect();
        assert_eq!(actual, allowed.iter().copied().collect(), "{name} imports");
    }
}

#[test]
fn tokio_lives_only_at_the_edges() {
    let deps = normal_dependencies();
    for never in ["schemas", "validator", "backtests"] {
        assert!(!deps[never].contains_key("tokio"), "{never} must not depend on tokio");
    }
    for edge in ["bus", "ingest", "forecaster", "api"] {
        assert_ne!(deps[edge].get("tokio"), Some(&false), "{edge}: tokio must be optional, behind `edge`");
        for path in sources(edge) {
            let relative = path.strip_prefix(root().join(edge)).unwrap().to_owned();
            let inside = relative.components().any(|c| c.as_os_str() == "edge");
            if inside || relative.starts_with("tests") || relative.starts_with("benches") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                assert!(!code.contains("tokio"), "{}:{}: tokio outside edge/", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    let mut silent = Vec::new();
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with("#!["));
        if !first.is_some_and(|l| l.starts_with("//! ")) {
            silent.push(path.display().to_string());
        }
    }
    assert!(silent.is_empty(), "modules without a `//!` sentence: {silent:#?}");
}

struct Long<'a> {
    path: &'a Path,
    found: Vec<String>,
}

impl Long<'_> {
    fn measure(&mut self, name: &syn::Ident, from: proc_macro2::Span, to: proc_macro2::Span) {
        let lines = to.end().line - from.start().line + 1;
        if lines > FN_LINES {
            self.found.push(format!(
                "{}:{} fn {name}: {lines} lines",
                self.path.display(),
                from.start().line
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Long<'_> {
    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        self.measure(&f.sig.ident, f.sig.span(), f.block.span());
        syn::visit::visit_item_fn(self, f);
    }
    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        self.measure(&f.sig.ident, f.sig.span(), f.block.span());
        syn::visit::visit_impl_item_fn(self, f);
    }
}

#[test]
fn functions_and_files_stay_short() {
    let mut found = Vec::new();
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES {
            found.push(format!("{}: {lines} lines", path.display()));
        }
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut long = Long { path: &path, found: Vec::new() };
        long.visit_file(&file);
        found.extend(long.found);
    }
    assert!(
        found.is_empty(),
        "longer than {FN_LINES} (functions) or {FILE_LINES} (files) lines:\n{found:#?}"
    );
}

#[test]
fn the_architecture_document_names_only_what_exists() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let code: String = all_sources().iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    let camel = |word: &str| {
        word.len() > 2
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().any(|c| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut missing = BTreeSet::new();
    for quoted in text.split('`').skip(1).step_by(2) {
        for word in quoted.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| camel(w)) {
            if !code.contains(word) {
                missing.insert(word.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md names what is gone: {missing:?}");
}

/// The one file that may call C itself.
const UNSAFE: &str = "forecaster/src/edge/raw_ort.rs";

#[derive(Default)]
struct Unsafe(usize);

impl<'ast> Visit<'ast> for Unsafe {
    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.0 += 1;
        syn::visit::visit_expr_unsafe(self, block);
    }
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.0 += usize::from(signature.unsafety.is_some());
        syn::visit::visit_signature(self, signature);
    }
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.0 += usize::from(item.unsafety.is_some());
        syn::visit::visit_item_impl(self, item);
    }
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        // `#[allow(unsafe_code)]`, `#[unsafe(no_mangle)]`: wherever it stands, it opens the door.
        let text = format!("{:?}", attribute.meta);
        self.0 += usize::from(text.contains("unsafe"));
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut found = BTreeMap::new();
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut counter = Unsafe::default();
        counter.visit_file(&syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        if counter.0 > 0 {
            found.insert(path.strip_prefix(root()).unwrap().display().to_string(), counter.0);
        }
    }
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), [UNSAFE], "{found:?}");
}

/// The files that may name a type of `ort`: it breaks with every version, so it stays behind one adapter.
const ORT: &[&str] = &["ort_cuda.rs", "ort_engine.rs", "ort_rows.rs", "ort_session.rs", "raw_ort.rs"];

#[test]
fn ort_stays_behind_its_adapter() {
    let mut found = BTreeSet::new();
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut code = text.lines().filter_map(|line| line.split("//").next());
        if code.any(names_ort) {
            found.insert(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    let own: BTreeSet<String> = ORT.iter().map(|&name| name.to_owned()).collect();
    assert!(found.is_subset(&own), "files that name `ort` beside its adapter: {:?}", found.difference(&own));
    assert!(found.len() >= 3, "the adapter was found: {found:?}");
}

/// How a path of the crate `ort` begins; in two parts, or this file would be found, too.
const CRATE: &str = concat!("ort", "::");

/// Whether a line names a path of the crate `ort`, and not of something that ends in these letters.
fn names_ort(line: &str) -> bool {
    line.match_indices(CRATE).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    })
}

#[test]
fn nothing_unfinished_and_no_registry_hosts() {
    let hosts = [["crates", "io"].join("."), ["pypi", "org"].join("."), ["npmjs", "org"].join(".")];
    let out = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    if !out.status.success() {
        eprintln!("SKIPPED: not a git checkout, so the tracked files are unknown");
        return;
    }
    let mut found = Vec::new();
    for name in String::from_utf8(out.stdout).unwrap().lines().filter(|n| !n.ends_with("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let host = hosts.iter().any(|h| line.contains(h.as_str()));
            let stub = Path::new(name).extension().is_some_and(|e| e == "rs")
                && ["todo", "unimplemented"].iter().any(|m| line.contains(&format!("{m}!(")));
            if host || stub {
                found.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_stable_code_has_a_line_in_the_document() {
    let text = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut codes: BTreeSet<String> = schemas::RejectCode::ALL.iter().map(|c| c.code().to_owned()).collect();
    let api = fs::read_to_string(root().join("api/src/error.rs")).unwrap();
    for line in api.lines().filter(|l| l.contains("=> (")) {
        if let Some(code) = line.split('"').nth(1) {
            codes.insert(code.to_owned());
        }
    }
    assert!(codes.len() > 60, "the codes were found: {}", codes.len());
    let missing: Vec<_> = codes.iter().filter(|c| !text.contains(&format!("`{c}`"))).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}
