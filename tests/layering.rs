//! The modules depend on one another in one way only. This reads the sources, since the compiler does not mind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which of our modules each module may use, besides itself and [`EVERYWHERE`].
const MAY_USE: &[(&str, &[&str])] = &[
    ("encryption", &["uncached"]),
    ("archive", &["digest", "encryption", "pace", "progress", "report", "stop", "threads", "uncached"]),
    ("source", &["progress", "report", "stop", "sys", "uncached"]),
    ("destination", &["archive::name", "stop", "sys"]),
    ("schedule", &[]),
    ("agenda", &["schedule"]),
    ("state", &["agenda"]),
    ("retention", &["zone"]),
    (
        "inventory",
        &["archive", "destination", "digest", "encryption", "report", "retention", "state", "stop", "zone"],
    ),
    (
        "prune",
        &["archive::name", "destination", "digest", "inventory", "retention", "state", "stop", "sys", "zone"],
    ),
    ("health", &["agenda", "schedule", "state"]),
    (
        "config",
        &[
            "agenda",
            "archive::codec",
            "archive::name",
            "encryption",
            "retention",
            "schedule",
            "services",
            "source",
        ],
    ),
    (
        "job",
        &[
            "archive",
            "clock",
            "config",
            "destination",
            "digest",
            "inventory",
            "pace",
            "progress",
            "prune",
            "report",
            "retention",
            "source",
            "state",
            "stop",
            "sys",
            "uncached",
        ],
    ),
    (
        "daemon",
        &[
            "agenda",
            "archive",
            "clock",
            "config",
            "destination",
            "health",
            "job",
            "progress",
            "report",
            "schedule",
            "state",
            "stop",
            "sys",
        ],
    ),
    ("compare", &["archive", "extract", "restore::paths", "source", "stop"]),
    ("extract", &["archive", "progress", "stop", "sys", "threads"]),
    (
        "restore",
        &["archive", "config", "destination", "extract", "progress", "report", "source", "stop", "sys"],
    ),
    ("reset", &["config", "destination", "extract", "job", "report", "source", "stop", "sys"]),
    ("services", &[]),
    ("cli", &["config"]),
    ("logger", &["clock", "config"]),
    (
        "command",
        &[
            "agenda",
            "archive",
            "cli",
            "clock",
            "compare",
            "config",
            "daemon",
            "destination",
            "encryption",
            "extract",
            "health",
            "inventory",
            "job",
            "progress",
            "prune",
            "report",
            "reset",
            "restore",
            "retention",
            "schedule",
            "services",
            "source",
            "state",
            "stop",
            "sys",
            "threads",
        ],
    ),
    ("clock", &[]),
    ("digest", &["stop"]),
    ("entry", &[]),
    ("error", &[]),
    ("exit", &[]),
    ("pace", &["stop"]),
    ("printable", &[]),
    ("progress", &[]),
    ("report", &[]),
    ("stop", &[]),
    ("sys", &[]),
    ("threads", &[]),
    ("uncached", &[]),
    ("zone", &[]),
];

/// What anybody may use.
const EVERYWHERE: [&str; 5] = ["entry", "error", "exit", "printable", "zone"];

/// Neither a clock nor I/O.
const PURE: [&str; 10] = [
    "agenda",
    "archive::name",
    "entry",
    "exit",
    "health",
    "printable",
    "report",
    "retention",
    "schedule",
    "zone",
];
/// What a pure module has no use for.
const IMPURE: [&str; 8] =
    ["std::fs", "std::env", "process::Command", "std::net", "rustix::", "SystemTime", "Instant", "now()"];

/// A module's path, as in `archive::name`, and its text without tests and comments.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && path.file_stem().unwrap() != "tests"
            {
                modules.insert(module(path.strip_prefix(&root).unwrap()), code(&path));
            }
        }
    }
    modules
}

fn module(path: &Path) -> String {
    let path: PathBuf = path.with_extension("");
    let parts: Vec<_> =
        path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
    parts.join("::")
}

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// What stands behind each `crate::`: `archive::name::Pattern`, or each of a list in braces.
fn uses(code: &str) -> BTreeSet<String> {
    let mut uses = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.chars().take_while(|letter| letter.is_alphanumeric() || "_:".contains(*letter)).collect()
        };
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut items = String::new();
            for letter in list.chars() {
                match letter {
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    '{' => depth += 1,
                    other if depth == 0 => items.push(other),
                    _ => {}
                }
            }
            uses.extend(items.split(',').map(|item| word(item.trim())).filter(|item| !item.is_empty()));
        } else {
            uses.insert(word(rest));
        }
    }
    uses
}

fn is_in(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (module, code) in modules() {
        let top = module.split("::").next().unwrap();
        if ["lib", "main"].contains(&top) {
            continue;
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == top) else {
            wrong.push(format!("{top}: write down here what it may use"));
            continue;
        };
        for used in uses(&code) {
            let allowed = is_in(&used, top) || EVERYWHERE.iter().chain(*may_use).any(|may| is_in(&used, may));
            if !allowed {
                wrong.push(format!("{module} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_pure_knows_neither_files_nor_the_time() {
    for (module, code) in modules() {
        if PURE.iter().any(|pure| is_in(&module, pure)) {
            let found: Vec<_> = IMPURE.iter().filter(|word| code.contains(**word)).collect();
            assert!(found.is_empty(), "{module}: {found:?}");
        }
    }
}

#[test]
fn only_main_makes_the_clock_and_only_config_reads_the_environment() {
    for (module, code) in modules() {
        let clock = code.contains("SystemClock") || code.contains("Utc::now") || code.contains("Local::now");
        assert!(!clock || ["clock", "main"].contains(&module.as_str()), "{module} makes the clock");
        let environment = ["env::var", "env::vars", "env::set_var"].iter().any(|name| code.contains(name));
        // The points to fail at in tests are compiled into debug builds only.
        let may = is_in(&module, "config") || module == "sys";
        assert!(!environment || may, "{module} reads the environment");
    }
}

/// Who else removes something removes what has not been published, what stands in for it, or a restore's own.
#[test]
fn only_prune_deletes_archives() {
    const MAY: [&str; 16] = [
        "prune",
        "destination::folders",
        "destination::latest",
        "destination::local",
        "destination::lock",
        "destination::sweep",
        "destination::unfinished",
        "destination::upload",
        "extract::indexed",
        "extract::stream::make",
        "reset::empty",
        "restore::spool",
        "restore::staging",
        "restore::swap",
        "restore::tree",
        "state",
    ];
    let mut found = BTreeSet::new();
    for (module, code) in modules() {
        if ["unlink", "remove_file", "remove_dir"].iter().any(|word| code.contains(word)) {
            assert!(MAY.contains(&module.as_str()), "{module} deletes something");
            found.insert(module);
        }
    }
    assert_eq!(found.len(), MAY.len(), "{found:?}");
}

#[test]
fn what_the_sources_use_is_found() {
    let code = "use crate::a::b;\nuse crate::{c::{d, e}, f};\nfn x() { crate::g::h(y) }\n";
    let found: Vec<_> = uses(code).into_iter().collect();
    assert_eq!(found, ["a::b", "c::", "f", "g::h"]);
    assert!(is_in("archive::name::Pattern", "archive::name") && !is_in("archive::named", "archive::name"));
}
