//! What a Docker engine writes: images by `docker save`, folders of a container by `docker cp`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::program::{command_in, stderr, tarkeep};
use crate::common::skip;
use crate::common::tree::{everything, fingerprint};
use crate::{alike, has, run};

/// An image and a container of it, gone when dropped.
struct Container(String);

impl Container {
    /// Built from scratch around this tar file; none where there is no engine.
    fn of(tar: &Path, folder: &Path) -> Option<Self> {
        let there = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            skip("a Docker engine that is running");
            return None;
        }
        let container = Self(format!("tarkeep-foreign-{}", std::process::id()));
        let context = folder.join("context");
        fs::create_dir(&context).unwrap();
        fs::rename(tar, context.join("tree.tar")).unwrap();
        // Unpacked by the engine, so that owners and times are those of the tree.
        fs::write(context.join("Dockerfile"), "FROM scratch\nADD tree.tar /\nCMD [\"/none\"]\n").unwrap();
        run("docker", &["build", "-q", "-t", &container.0, "context"], folder);
        run("docker", &["create", "--name", &container.0, &container.0], folder);
        Some(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for arguments in [["rm", "-f"], ["rmi", "-f"]] {
            let _ = Command::new("docker").args(arguments).arg(&self.0).output();
        }
    }
}

#[test]
fn images_and_folders_of_containers_are_restored() {
    if !rustix::process::geteuid().is_root() || !has("tar") {
        return skip("tar, and root to have owners back");
    }
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    everything(&folder.join("data"));
    // An engine knows no holes, and writes out what is in them.
    fs::remove_file(folder.join("data/holes")).unwrap();
    run("tar", &["--format=pax", "-cf", "tree.tar", "data"], folder);
    let Some(container) = Container::of(&folder.join("tree.tar"), folder) else { return };

    run("docker", &["save", "-o", "image.tar", &container.0], folder);
    as_tar_has_it("image.tar", "image", folder);
    let layer = layer(&folder.join("image"));
    as_tar_has_it(layer.to_str().unwrap(), "layer", folder);

    // A folder of the container, to standard output.
    let copied = File::create(folder.join("copied.tar")).unwrap();
    let copy = ["cp", &format!("{}:/data", container.0), "-"];
    let copy = Command::new("docker").args(copy).stdout(copied).status();
    assert!(copy.unwrap().success());
    as_tar_has_it("copied.tar", "copied", folder);

    // It is what went in, as far as an engine keeps it: times before 1970 and attributes it does not.
    let kept = |tree: &str| -> BTreeMap<_, _> {
        let short = |line: String| {
            let words: Vec<_> = line.split(" [").next().unwrap().splitn(4, ' ').map(str::to_owned).collect();
            [&words[..2], &words[3..]].concat().join(" ")
        };
        fingerprint(&folder.join(tree)).into_iter().map(|(name, line)| (name, short(line))).collect()
    };
    let was = kept("data");
    for tree in ["layer/data", "copied/data"] {
        for (name, line) in kept(tree) {
            assert_eq!(Some(&line), was.get(&name), "{tree}: {}", String::from_utf8_lossy(&name));
        }
        assert_eq!(kept(tree).len(), was.len(), "{tree}");
    }

    // As what anybody may have made: without devices, and no file is missing.
    let restored = tarkeep(&["restore", layer.to_str().unwrap(), "--to", "untrusted"], folder);
    assert_eq!(restored.status.code(), Some(3), "{}", stderr(&restored));
    for file in ["small", "large text", "folder/text"] {
        let body = |at: &str| fs::read(folder.join(at).join(file)).unwrap();
        assert!(body("data") == body("untrusted/data"), "{file}");
    }
}

/// Restore it to this folder, and see that it is what GNU tar makes of it.
fn as_tar_has_it(archive: &str, to: &str, folder: &Path) {
    let by_tar = format!("{to} by tar");
    fs::create_dir(folder.join(&by_tar)).unwrap();
    run("tar", &["-C", &by_tar, "-xpf", archive], folder);
    // Through standard input, as it comes from an engine.
    let mut restore = command_in(&["restore", "-", "--to", to, "--trust"], folder);
    let mut cat = Command::new("cat");
    let mut cat = cat.arg(archive).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let restored = restore.stdin(cat.stdout.take().unwrap()).output().unwrap();
    assert!(cat.wait().unwrap().success());
    assert_eq!(restored.status.code(), Some(0), "{archive}: {}", stderr(&restored));
    // The folder that all is in has no entry.
    run("touch", &["-r", &by_tar, to], folder);
    alike(&folder.join(by_tar), &folder.join(to), true, false, archive);
}

/// The only layer of an image: the one file in it that is a tar archive with our folder.
fn layer(image: &Path) -> std::path::PathBuf {
    let mut folders = vec![image.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && holds_our_folder(&path) {
                return path;
            }
        }
    }
    panic!("no layer in {}", image.display());
}

fn holds_our_folder(path: &Path) -> bool {
    let mut start = [0; 512];
    let read = File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start.starts_with(b"data/\0") && start[257..].starts_with(b"ustar")
}
