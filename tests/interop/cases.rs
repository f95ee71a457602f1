//! Small trees, each about one thing, and the rows of the table that they fill.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::FileType;

use super::make::{
    acl, at, attribute, beyond_path_max, capability, device, fifo, file, holes, mode, noise, time,
};
use super::tree::Node;

/// What of an entry a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    Contents,
    Target,
    Linked,
    Kind,
    Mode,
    Owner,
    Time,
    Attributes,
    Holes,
}

use Aspect::{Attributes, Contents, Holes, Kind, Linked, Mode, Owner, Target, Time};

/// A tree and what is looked at in it.
pub struct Case {
    /// Of its folder.
    pub name: &'static str,
    pub make: fn(&Path),
    pub rows: &'static [Row],
}

/// A row of the table: these aspects of all entries whose path below the case's folder begins so.
pub struct Row {
    pub label: &'static str,
    pub begins: &'static str,
    pub aspects: &'static [Aspect],
}

const fn row(label: &'static str, begins: &'static str, aspects: &'static [Aspect]) -> Row {
    Row { label, begins, aspects }
}

/// All of them, in the order of the table.
pub const CASES: &[Case] = &[
    Case {
        name: "files",
        make: files,
        rows: &[
            row("files: empty, small, large, incompressible", "", &[Contents]),
            row("permissions", "file", &[Mode]),
            row("times of folders", "folder", &[Time]),
        ],
    },
    Case {
        name: "names",
        make: odd_names,
        rows: &[
            row("names with spaces, newlines, quotes, stars, a leading dash", "odd", &[Contents]),
            row("names with a backslash", "back", &[Contents]),
        ],
    },
    Case {
        name: "utf8",
        make: utf8_names,
        rows: &[
            row("names in UTF-8", "name", &[Contents, Target]),
            row("names in UTF-8, decomposed as macOS has them", "decomposed", &[Contents]),
        ],
    },
    Case { name: "bytes", make: byte_names, rows: &[row("names that are not UTF-8", "", &[Contents])] },
    Case {
        name: "long",
        make: long_names,
        rows: &[
            row("names of 255 bytes", "name", &[Contents]),
            row("paths of 100 to 260 bytes", "path", &[Contents]),
        ],
    },
    Case { name: "deep", make: deep, rows: &[row("folders 60 deep", "", &[Contents])] },
    Case {
        name: "beyond",
        make: beyond_path_max,
        rows: &[row("paths beyond 4,096 bytes, the system's limit", "", &[Contents])],
    },
    Case { name: "links", make: hard_links, rows: &[row("hard links", "", &[Contents, Linked])] },
    Case {
        name: "symlinks",
        make: symlinks,
        rows: &[row("symbolic links", "plain", &[Target]), row("times of symbolic links", "plain", &[Time])],
    },
    Case {
        name: "up",
        make: |folder| symlinks_to(folder, &[("up", "folder/../file")]),
        rows: &[row("symbolic links with `..` in the middle", "", &[Target])],
    },
    Case {
        name: "out",
        make: |folder| {
            symlinks_to(folder, &[("absolute", "/etc/hostname"), ("above", "../../../etc/hostname")]);
        },
        rows: &[row("symbolic links out of the archive", "", &[Target])],
    },
    Case {
        name: "targets",
        make: long_targets,
        rows: &[row("symbolic links with targets of up to 4,095 bytes", "", &[Target])],
    },
    Case { name: "fifo", make: fifos, rows: &[row("FIFOs", "", &[Kind])] },
    Case { name: "devices", make: devices, rows: &[row("devices", "", &[Kind])] },
    Case { name: "modes", make: modes, rows: &[row("set-id and sticky bits", "", &[Mode])] },
    Case {
        name: "owners",
        make: owners,
        rows: &[
            row("owners up to 2,097,151", "small", &[Owner]),
            row("owners up to 4,294,967,294", "large", &[Owner]),
            row("owners of symbolic links", "link", &[Owner]),
        ],
    },
    Case { name: "nanoseconds", make: nanoseconds, rows: &[row("times to the nanosecond", "", &[Time])] },
    Case {
        name: "old",
        make: old,
        rows: &[
            row("times before 1970", "whole", &[Time]),
            row("times before 1970, with a fraction of a second", "part", &[Time]),
        ],
    },
    Case { name: "after2106", make: after_2106, rows: &[row("times after 2106", "", &[Time])] },
    Case { name: "after2242", make: after_2242, rows: &[row("times after 2242", "", &[Time])] },
    Case { name: "attributes", make: attributes, rows: &[row("extended attributes", "", &[Attributes])] },
    Case {
        name: "binary",
        make: binary_attributes,
        rows: &[row("extended attributes with newlines and zero bytes in the value", "", &[Attributes])],
    },
    Case {
        name: "keys",
        make: odd_attributes,
        rows: &[row("extended attributes with `=`, `%` and newlines in the name", "", &[Attributes])],
    },
    Case { name: "acl", make: acls, rows: &[row("ACLs and default ACLs", "", &[Attributes])] },
    Case { name: "capability", make: capabilities, rows: &[row("file capabilities", "", &[Attributes])] },
    Case {
        name: "holes",
        make: small_holes,
        rows: &[row("files with up to 64 MiB of holes", "", &[Contents])],
    },
    Case {
        name: "sparse",
        make: large_holes,
        rows: &[
            row("files with more than 64 MiB of holes", "", &[Contents]),
            row("the same: holes take no space again", "", &[Holes]),
        ],
    },
    Case {
        name: "all",
        make: all,
        rows: &[row("ordinary files in an archive with all of the above", "files", &[Contents])],
    },
];

/// What is not right with a node, in a word.
pub fn difference(aspect: Aspect, want: &Node, got: &Node) -> Option<&'static str> {
    let differs = |differs: bool, word| differs.then_some(word);
    match aspect {
        Contents => differs(want.kind != got.kind || want.body != got.body, "other contents"),
        Target => differs(want.kind != got.kind || want.target != got.target, ""),
        Linked => differs(want.first != got.first, "separate files"),
        Kind => differs(want.kind != got.kind || want.device != got.device, ""),
        Mode => differs(want.mode != got.mode, ""),
        Owner => differs(want.owner != got.owner, ""),
        Time => match (want.mtime - got.mtime).abs() {
            0 => None,
            1..1000 => Some("to the microsecond"),
            1000..1_000_000_000 => Some("whole seconds"),
            _ => Some(""),
        },
        Attributes => differs(want.xattrs != got.xattrs, ""),
        // A page or two more or less is no matter.
        Holes => differs(got.allocated > want.allocated + (1 << 20), "zeros"),
    }
}

/// Everything in one tree, for the reader that gets everything back.
pub fn all(folder: &Path) {
    for case in CASES.iter().filter(|case| !["all", "beyond"].contains(&case.name)) {
        let folder = folder.join(case.name);
        fs::create_dir(&folder).unwrap();
        (case.make)(&folder);
    }
}

fn files(folder: &Path) {
    fs::write(folder.join("file empty"), b"").unwrap();
    fs::write(folder.join("file small"), b"small\n").unwrap();
    fs::write(folder.join("file large"), b"many lines\n".repeat(150_000)).unwrap();
    fs::write(folder.join("file incompressible"), noise(1_500_000, 1)).unwrap();
    fs::write(folder.join("file just under a block"), noise(511, 2)).unwrap();
    fs::write(folder.join("file a block"), noise(512, 3)).unwrap();
    for bits in [0o600, 0o644, 0o755, 0o555, 0o777, 0o000] {
        let path = file(folder, format!("file {bits:o}").as_bytes());
        mode(&path, bits);
    }
    fs::create_dir(folder.join("folder empty")).unwrap();
    file(folder, b"folder full/file");
    for name in ["folder full/file", "folder empty", "folder full"] {
        time(&folder.join(name), 1_000_000_000, 0).unwrap();
    }
}

fn odd_names(folder: &Path) {
    for name in [
        &b"odd name with spaces "[..],
        b"odd\nname",
        b"odd * ? [a] {b}",
        b"odd 'single' \"double\"",
        b"odd \x1b[31m\x07",
        b"odd/-leading",
        b"odd/--checkpoint=1",
        b"odd/ space",
        b"odd/.hidden",
        b"odd/...",
    ] {
        file(folder, name);
    }
    file(folder, b"back\\slash");
    file(folder, b"back\\\\two");
}

fn utf8_names(folder: &Path) {
    for name in ["name Grüße.txt", "name 日本語/ファイル", "name 🙂", "name עברית"] {
        file(folder, name.as_bytes());
    }
    symlink("name Grüße.txt", folder.join("name zu Grüße")).unwrap();
    file(folder, "decomposed e\u{301}".as_bytes());
}

fn byte_names(folder: &Path) {
    for name in [&b"latin-\xe9"[..], b"\xff\xfe", b"folder \xe9/file", b"half \xc3"] {
        file(folder, name);
    }
}

fn long_names(folder: &Path) {
    let long = "n".repeat(254);
    for end in ["a", "b"] {
        file(folder, format!("name/{long}{end}").as_bytes());
    }
    file(folder, format!("name/{}", "ü".repeat(127)).as_bytes());
    // Of all lengths around those at which the ustar header's fields are full, `long/` included.
    for length in [95, 96, 97, 150, 151, 152, 153, 200, 250, 251, 252, 255] {
        for cut in [40, 99, 100, 101, 140] {
            let cut = cut.min(length - 20);
            let name = format!(
                "path/{}/{}",
                format!("{cut:03}").repeat(50).split_at(cut).0,
                "f".repeat(length - cut - 6)
            );
            file(folder, name.as_bytes());
        }
    }
}

fn deep(folder: &Path) {
    let path: Vec<_> = (0..60).map(|level| format!("level {level}")).collect();
    file(folder, format!("{}/file", path.join("/")).as_bytes());
}

fn hard_links(folder: &Path) {
    let first = file(folder, b"first");
    fs::hard_link(&first, folder.join("second")).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    fs::hard_link(&first, folder.join("folder/third")).unwrap();
    let large = folder.join("large");
    fs::write(&large, noise(700_000, 4)).unwrap();
    fs::hard_link(&large, at(folder, &[b"long-".as_slice(), &[b'n'; 200]].concat())).unwrap();
}

fn symlinks(folder: &Path) {
    file(folder, b"file");
    file(folder, b"folder/file");
    let links = [("plain", "file"), ("plain to folder", "folder"), ("plain dangling", "nowhere/at all")];
    symlinks_to(folder, &links);
}

fn symlinks_to(folder: &Path, links: &[(&str, &str)]) {
    for (name, target) in links {
        symlink(target, folder.join(name)).unwrap();
        time(&folder.join(name), 1_234_567_890, 0).unwrap();
    }
}

fn long_targets(folder: &Path) {
    for length in [99, 100, 101, 256, 1000, 4095] {
        symlink("t/".repeat(length).split_at(length).0, folder.join(format!("{length}"))).unwrap();
    }
    symlink(std::ffi::OsStr::from_bytes("ü".repeat(100).as_bytes()), folder.join("umlauts")).unwrap();
}

fn fifos(folder: &Path) {
    fifo(&folder.join("fifo"));
    // Left out, and no error.
    drop(UnixListener::bind(folder.join("socket")).unwrap());
}

fn devices(folder: &Path) {
    device(&folder.join("null"), FileType::CharacterDevice, 1, 3).unwrap();
    device(&folder.join("loop"), FileType::BlockDevice, 7, 77).unwrap();
    device(&folder.join("large"), FileType::CharacterDevice, 4095, 1_048_575).unwrap();
}

fn modes(folder: &Path) {
    for bits in [0o4755, 0o2755, 0o6711, 0o1644] {
        let path = file(folder, format!("file {bits:o}").as_bytes());
        mode(&path, bits);
    }
    for bits in [0o1777, 0o2775] {
        let path = folder.join(format!("folder {bits:o}"));
        fs::create_dir(&path).unwrap();
        mode(&path, bits);
    }
}

fn owners(folder: &Path) {
    for (name, uid, gid) in [
        ("small", 1000, 1001),
        ("small most", 2_097_151, 2_097_151),
        ("large", 2_097_152, 4_000_000),
        ("large sign", 1 << 31, 1 << 31),
        ("large most", u32::MAX - 1, u32::MAX - 1),
    ] {
        lchown(file(folder, name.as_bytes()), Some(uid), Some(gid)).unwrap();
    }
    symlink("small", folder.join("link")).unwrap();
    lchown(folder.join("link"), Some(1000), Some(1001)).unwrap();
}

fn at_time(folder: &Path, name: &str, seconds: i64, nanos: i64) {
    time(&file(folder, name.as_bytes()), seconds, nanos).unwrap();
}

fn nanoseconds(folder: &Path) {
    at_time(folder, "nine digits", 1_700_000_000, 123_456_789);
    at_time(folder, "one", 1_700_000_000, 1);
    at_time(folder, "last", 1_700_000_000, 999_999_999);
}

fn old(folder: &Path) {
    at_time(folder, "part", -2, 500_000_000);
    at_time(folder, "whole 1965", -157_766_400, 0);
    at_time(folder, "whole 1902", -2_145_916_800, 0);
}

fn after_2106(folder: &Path) {
    at_time(folder, "2106", 4_294_967_296, 0);
    at_time(folder, "2200", 7_258_118_400, 0);
}

fn after_2242(folder: &Path) {
    at_time(folder, "2242", 8_589_934_592, 0);
    at_time(folder, "2400", 13_569_465_600, 500_000_000);
}

fn attributes(folder: &Path) {
    let path = file(folder, b"file");
    attribute(&path, b"user.comment", "a comment: Grüße".as_bytes()).unwrap();
    attribute(&path, b"user.empty", b"").unwrap();
    attribute(&path, b"user.long", "long ".repeat(200).as_bytes()).unwrap();
    attribute(&path, b"trusted.overlay", b"y").unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    attribute(&folder.join("folder"), b"user.of a folder", b"value").unwrap();
}

fn binary_attributes(folder: &Path) {
    let path = file(folder, b"file");
    attribute(&path, b"user.lines", b"one\ntwo\n30 path=/etc/passwd\n").unwrap();
    attribute(&path, b"user.zeros", b"\0a\0\0b\0").unwrap();
    attribute(&path, b"user.bytes", &noise(300, 5)).unwrap();
}

fn odd_attributes(folder: &Path) {
    let path = file(folder, b"file");
    for name in [&b"user.a=b"[..], b"user.100%", b"user.%3D", b"user.two\nlines"] {
        attribute(&path, name, b"value").unwrap();
    }
}

fn acls(folder: &Path) {
    attribute(&file(folder, b"file"), b"system.posix_acl_access", &acl(6, 4)).unwrap();
    let inner = folder.join("folder");
    fs::create_dir(&inner).unwrap();
    attribute(&inner, b"system.posix_acl_access", &acl(5, 1)).unwrap();
    attribute(&inner, b"system.posix_acl_default", &acl(7, 5)).unwrap();
}

fn capabilities(folder: &Path) {
    let path = file(folder, b"server");
    mode(&path, 0o755);
    attribute(&path, b"security.capability", &capability()).unwrap();
}

fn small_holes(folder: &Path) {
    holes(&folder.join("small"), 8 << 20, &[0, 3 << 20, (5 << 20) + 17]);
    holes(&folder.join("nothing but a hole"), 3 << 20, &[]);
}

fn large_holes(folder: &Path) {
    holes(&folder.join("large"), (80 << 20) + 5, &[1 << 20, (40 << 20) + 17]);
    holes(&folder.join("nothing but a hole"), 70 << 20, &[]);
    holes(&folder.join("data at the end"), 70 << 20, &[(70 << 20) - 4]);
}
