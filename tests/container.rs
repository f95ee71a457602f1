//! The image and the compose file, on a real engine.
//!
//! No image is pulled. The final stage of `docker/Dockerfile` is built around a static binary made here, and the
//! database of `docker-compose.yaml` is stood in for by a static busybox, by an override file. Everything else is the
//! deployment as a user has it. Each test has its own project and folders and removes them, also when it fails.

mod common;

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Timelike, Utc};

/// Generous: containers start slowly on a loaded machine, and a schedule of minutes has to come round.
const PATIENCE: Duration = Duration::from_mins(4);

/// An ordinary user of the host, whose folder the archives go to.
const USER: u32 = 1234;

#[test]
fn a_deployment_archives_at_its_start_and_every_minute() {
    let Some(deployment) = Deployment::new("* * * * *", "") else { return };
    deployment.fill();
    deployment.compose(&["up", "-d", "--no-build"]);

    // The first run is not waited for: there is no archive yet.
    let first = deployment.wait_for_archives(1).remove(0);
    assert_owned_by_the_user(&first);
    assert_holds(&first, &deployment.path("dbdata"));

    deployment
        .wait_for("health to be good", || deployment.exec(&["/bin/tarkeep", "health"]).status.success());

    // By the name that the binary has for it, to standard output.
    let stream = deployment.path("stream.tar.gz");
    let output = deployment
        .compose_command(&["exec", "-T", "backup", "backup"])
        .stdin(Stdio::null())
        .stdout(File::create(&stream).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "exec -T backup backup: {output:?}");
    assert_holds(&stream, &deployment.path("dbdata"));

    for archive in deployment.wait_for_archives(3) {
        assert_owned_by_the_user(&archive);
        assert_holds(&archive, &deployment.path("dbdata"));
    }
    // As the engine sees it, from the HEALTHCHECK of the image.
    deployment.wait_for("the engine to call it healthy", || {
        deployment.inspect("{{.State.Health.Status}}") == "healthy"
    });
}

#[test]
fn a_stop_during_a_run_is_in_time_and_leaves_nothing_half_done() {
    let Some(deployment) =
        Deployment::new("off", "      TARKEEP_CODEC: gzip:12\n      TARKEEP_ON_START: always\n")
    else {
        return;
    };
    // What takes long to compress: random hexadecimal digits, at the slowest level. A minute and more on two cores.
    let mut seed = 1_u64;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"0123456789abcdef"[(seed >> 60) as usize]
    })
    .take(8 << 20)
    .collect();
    for number in 0..64 {
        fs::write(deployment.path("dbdata").join(format!("digits-{number}")), &block).unwrap();
    }
    deployment.compose(&["up", "-d", "--no-build"]);
    deployment.wait_for("a run to be writing", || {
        files_below(&deployment.path("backup")).iter().any(|file| {
            !file.starts_with(deployment.path("backup/.tarkeep"))
                && file.metadata().is_ok_and(|file| file.len() > 0)
        })
    });
    assert!(
        deployment.archives().is_empty(),
        "the run was over too soon for this test: {:?}",
        deployment.archives()
    );

    // One by hand beside it does not get in its way.
    let by_hand = deployment.exec(&["/bin/tarkeep", "backup"]);
    let said = String::from_utf8_lossy(&by_hand.stderr);
    assert!(by_hand.status.code() == Some(11) && said.contains("is locked by process 1 on"), "{by_hand:?}");

    deployment.compose(&["stop", "backup"]);
    // Killed at the end of the grace period it would be 137. As process 1 it cannot die of the signal itself.
    assert_eq!(deployment.inspect("{{.State.ExitCode}}"), "143", "as process 1, stopped by SIGTERM");
    let left: Vec<_> = files_below(&deployment.path("backup"))
        .into_iter()
        .filter(|file| !file.starts_with(deployment.path("backup/.tarkeep")))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn a_run_missed_while_stopped_is_made_up_for_at_the_next_start() {
    // Once a day, soon. Far enough away that the deployment is up and stopped again before.
    for _attempt in 0..3 {
        let due = Utc::now() + Duration::from_mins(2);
        let due = due.with_second(0).unwrap().with_nanosecond(0).unwrap();
        let Some(deployment) = Deployment::new(&due.format("%H:%M").to_string(), "") else { return };
        deployment.fill();
        deployment.compose(&["up", "-d", "--no-build"]);
        deployment.wait_for_archives(1);
        deployment
            .wait_for("health to be good", || deployment.exec(&["/bin/tarkeep", "health"]).status.success());
        deployment.compose(&["stop", "backup"]);
        if Utc::now() + Duration::from_secs(1) > due {
            continue; // A slow machine: the run may not have been missed. With new folders, once more.
        }
        assert_eq!(deployment.inspect("{{.State.ExitCode}}"), "0", "stopped while it had nothing to do");
        assert_eq!(deployment.archives().len(), 1);
        wait_until(due + Duration::from_secs(2));

        deployment.compose(&["start", "backup"]);
        // The next one is due tomorrow: this is the missed one.
        let archives = deployment.wait_for_archives(2);
        assert_holds(&archives[1], &deployment.path("dbdata"));
        return;
    }
    panic!("three times the deployment took more than a minute to start and stop");
}

#[test]
fn destroyed_data_is_brought_back_by_the_service_for_it() {
    let Some(deployment) = Deployment::new("off", "      TARKEEP_ON_START: always\n") else { return };
    deployment.fill();
    deployment.compose(&["up", "-d", "--no-build"]);
    deployment.wait_for_archives(1);
    // One by hand, beside the daemon that has nothing to do.
    deployment.compose(&["exec", "-T", "backup", "tarkeep", "backup"]);
    let archive = deployment.wait_for_archives(2).remove(1);
    assert_owned_by_the_user(&archive);
    let (data, kept) = (deployment.path("dbdata"), deployment.path("kept"));
    sh(&format!("cp -a {} {}", data.display(), kept.display()));
    let destroy = || {
        sh(&format!("cd {} && rm -r base && echo 16 >PG_VERSION && touch new", data.display()));
        assert_ne!(list(&data), list(&kept));
    };
    let restored = || {
        assert_eq!(list(&data), list(&kept));
        sh(&format!("diff -r --no-dereference {} {}", data.display(), kept.display()));
    };

    // The running service has it read-only, and says what to type. Nobody is here to be asked.
    destroy();
    let output = deployment.exec(&["restore", "latest", "--force", "--delete", "--yes"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let typed = "run this instead: docker compose run --rm restore latest --force --delete --yes\n";
    assert!(said.ends_with(typed), "{said}");
    deployment.compose(&["stop", "database"]);
    deployment.compose(&["run", "--rm", "-T", "restore", "latest", "--force", "--delete", "--yes"]);
    deployment.compose(&["start", "database"]);
    restored();

    // From an archive that came from elsewhere.
    destroy();
    let output = deployment
        .compose_command(&["run", "--rm", "-T", "restore", "-", "--force", "--delete", "--yes"])
        .stdin(File::open(archive).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "restore -: {}", String::from_utf8_lossy(&output.stderr));
    restored();
}

#[test]
fn an_idle_service_gives_and_takes_archives_through_pipes() {
    let writable = "    volumes:\n      - ./dbdata:/data\n";
    let Some(deployment) = Deployment::new("off", writable) else { return };
    deployment.fill();
    deployment.compose(&["up", "-d", "--no-build"]);
    let (data, kept) = (deployment.path("dbdata"), deployment.path("kept"));
    let (whole, cut) = (deployment.path("x.tar.bz2"), deployment.path("cut.tar.bz2"));
    let output = deployment
        .compose_command(&["exec", "-T", "backup", "backup", "--codec", "bzip2"])
        .stdin(Stdio::null())
        .stdout(File::create(&whole).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "backup: {}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(&whole).unwrap();
    assert!(bytes.starts_with(b"BZh"));
    fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    sh(&format!("cp -a {} {}", data.display(), kept.display()));
    sh(&format!("cd {} && rm -r base && echo 16 >PG_VERSION && touch new", data.display()));
    let destroyed = list(&data);

    for (archive, code) in [(&cut, 5), (&whole, 0)] {
        assert_eq!(list(&data), destroyed);
        let output = deployment
            .compose_command(&["exec", "-T", "backup", "restore", "--force", "--delete", "--yes"])
            .stdin(File::open(archive).unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(list(&data), list(&kept));
    sh(&format!("diff -r --no-dereference {} {}", data.display(), kept.display()));
    assert!(deployment.archives().is_empty(), "what went through pipes is kept nowhere");
}

#[test]
fn data_is_reset_and_brought_back_but_not_while_the_database_is_up() {
    let Some(deployment) = Deployment::new("off", "") else { return };
    deployment.fill();
    let (data, kept) = (deployment.path("dbdata"), deployment.path("kept"));
    sh(&format!("cp -a {} {}", data.display(), kept.display()));
    deployment.compose(&["up", "-d", "--no-build"]);
    // Nobody is here to type the name of the job.
    let reset = |arguments: &[&str]| {
        let words = ["run", "--rm", "-T", "-e", "TARKEEP_ALLOW_RESET=1", "reset"];
        let mut command = deployment.compose_command(&[&words[..], arguments].concat());
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };

    // Found by its name, as the compose file has it.
    deployment.wait_for("the database to listen", || {
        let (code, said) = reset(&["--dry-run"]);
        code == Some(1)
            && said.contains("database:5432 is up")
            && said.contains("docker compose stop database")
    });
    assert_eq!(list(&data), list(&kept));
    deployment.compose(&["stop", "database"]);
    let (code, said) = reset(&["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("database:5432 is down: "), "{said}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    assert_owned_by_the_user(&deployment.archives()[0]);

    // In the running service, where the data is mounted read-only, it says what to do.
    fs::write(data.join("new"), "new").unwrap();
    let container = deployment.container();
    let words = ["exec", "-e", "TARKEEP_ALLOW_RESET=1", &container, "reset", "--yes"];
    let output = Command::new("docker").args(words).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("docker compose run --rm reset"), "{said}");
    fs::remove_file(data.join("new")).unwrap();

    deployment.compose(&["run", "--rm", "-T", "restore", "latest"]);
    assert_eq!(list(&data), list(&kept));
    sh(&format!("diff -r --no-dereference {} {}", data.display(), kept.display()));
}

#[test]
fn health_goes_bad_when_the_destination_is_taken_away() {
    let Some(deployment) = Deployment::new("* * * * *", "") else { return };
    deployment.fill();
    deployment.compose(&["up", "-d", "--no-build"]);
    deployment.wait_for_archives(1);
    deployment
        .wait_for("health to be good", || deployment.exec(&["/bin/tarkeep", "health"]).status.success());

    // What the container has mounted is now a folder without a name, in which nothing can be made.
    fs::remove_dir_all(deployment.path("backup")).unwrap();
    deployment.wait_for("health to be bad", || {
        deployment.exec(&["/bin/tarkeep", "health"]).status.code() == Some(1)
    });
    deployment.wait_for("the engine to call it unhealthy", || {
        deployment.inspect("{{.State.Health.Status}}") == "unhealthy"
    });
    assert_eq!(deployment.inspect("{{.State.Running}}"), "true", "a failed run does not end the daemon");
}

#[test]
fn the_image_is_small_and_holds_the_binary_and_nothing_else() {
    let Some(deployment) = Deployment::new("off", "") else { return };
    let size: u64 = docker(&["image", "inspect", "-f", "{{.Size}}", &deployment.image]).parse().unwrap();
    assert!(size < 15_000_000, "the image has {size} bytes");

    let container = docker(&["create", "--name", &format!("{}-look", deployment.project), &deployment.image]);
    let listing =
        sh(&format!("docker export {container} | tar -tf - --exclude 'dev*' --exclude 'etc*' | sort"));
    docker(&["rm", &container]);
    let files: Vec<_> = listing.lines().filter(|name| !name.ends_with('/')).collect();
    // The engine itself adds its marker, and the folders for /proc and /sys.
    let ours: Vec<_> = files.into_iter().filter(|name| *name != ".dockerenv").collect();
    let mut wanted: Vec<_> = links(&dockerfile()).iter().map(|name| format!("bin/{name}")).collect();
    assert!(wanted.iter().any(|name| name == "bin/backup"), "the binary's other names: {wanted:?}");
    wanted.push("bin/tarkeep".to_owned());
    wanted.sort();
    assert_eq!(ours, wanted);
}

#[test]
fn the_dockerfile_names_the_toolchain_and_the_version_of_the_package() {
    let dockerfile = dockerfile();
    let toolchain: toml::Value =
        toml::from_str(&fs::read_to_string(root().join("rust-toolchain.toml")).unwrap()).unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert!(
        dockerfile.contains(&format!("/rust:{channel}-")),
        "the build stage's image is not of Rust {channel}"
    );
    let version = format!("image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "no label {version}");
}

/// The compose file at work in a folder of its own; gone when dropped.
struct Deployment {
    folder: tempfile::TempDir,
    project: String,
    image: String,
    base: String,
}

impl Deployment {
    /// With empty folders `dbdata` and `backup`, or a word on what is missing here. `environment` is more lines of it.
    fn new(schedule: &str, environment: &str) -> Option<Self> {
        let missing = missing();
        if let Some(missing) = missing {
            common::skip(missing);
            return None;
        }
        let folder = tempfile::Builder::new().prefix("tarkeep-container-").tempdir_in("/var/tmp").unwrap();
        let project = folder.path().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', "");
        let deployment = Self {
            image: format!("{project}/tarkeep:test"),
            base: format!("{project}/base:test"),
            folder,
            project,
        };
        fs::set_permissions(deployment.folder.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["dbdata", "backup"] {
            fs::create_dir(deployment.path(name)).unwrap();
        }
        chown(deployment.path("backup"), Some(USER), Some(USER)).unwrap();
        fs::set_permissions(deployment.path("backup"), Permissions::from_mode(0o750)).unwrap();

        deployment.build_base();
        deployment.build_image();
        fs::copy(root().join("docker-compose.yaml"), deployment.path("docker-compose.yaml")).unwrap();
        let mut compose = String::new();
        write!(
            compose,
            "services:\n  restore:\n    image: {}\n  reset:\n    image: {}\n  database:\n    image: {}\n    stop_grace_period: 1s\n    \
             healthcheck:\n      test: [\"CMD\", \"/bin/busybox\", \"true\"]\n      interval: 1s\n  backup:\n    image: {}\n    \
             healthcheck:\n      interval: 5s\n      retries: 1\n    environment:\n      \
             TARKEEP_SCHEDULE: \"{schedule}\"\n{environment}",
            deployment.image, deployment.image, deployment.base, deployment.image
        )
        .unwrap();
        fs::write(deployment.path("override.yaml"), compose).unwrap();
        Some(deployment)
    }

    /// The stand-in for the database: it only has to be there, and to listen.
    fn build_base(&self) {
        let folder = self.path("base/bin");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(busybox().unwrap(), folder.join("busybox")).unwrap();
        sh(&format!(
            "tar -C {} -c . | docker import --change 'CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"5432\"]' - {}",
            self.path("base").display(),
            self.base
        ));
    }

    /// The last stage of the Dockerfile, as it stands there but for where the binary comes from.
    fn build_image(&self) {
        let out = self.path("image/out/bin");
        fs::create_dir_all(&out).unwrap();
        fs::copy(static_binary(), out.join("tarkeep")).unwrap();
        let dockerfile = dockerfile();
        for name in links(&dockerfile) {
            symlink("tarkeep", out.join(name)).unwrap();
        }
        let (_, last) =
            dockerfile.split_once("\nFROM scratch\n").expect("the Dockerfile ends with a stage from scratch");
        assert!(
            last.contains("\nCOPY --from=build /out/ /\n"),
            "where the binary is copied in the Dockerfile"
        );
        let last = last.replace("COPY --from=build /out/ /", "COPY out/ /");
        fs::write(self.path("image/Dockerfile"), format!("FROM scratch\n{last}")).unwrap();
        docker(&["build", "-q", "-t", &self.image, self.path("image").to_str().unwrap()]);
    }

    /// What a database's folder looks like: not everybody's, and files of several kinds.
    fn fill(&self) {
        let data = self.path("dbdata");
        fs::create_dir_all(data.join("base/1")).unwrap();
        fs::write(data.join("PG_VERSION"), "17\n").unwrap();
        for number in 0..200 {
            fs::write(data.join(format!("base/1/{number}")), vec![number as u8; 1000 * number]).unwrap();
        }
        symlink("base/1", data.join("link")).unwrap();
        fs::hard_link(data.join("base/1/7"), data.join("base/1/seven")).unwrap();
        sh(&format!("chown -hR 999:999 {0} && chmod -R go= {0}", data.display()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compose_command(&self, arguments: &[&str]) -> Command {
        let mut command = compose().expect("looked for at the start");
        command.current_dir(self.folder.path()).args(["-p", &self.project]);
        command.args(["-f", "docker-compose.yaml", "-f", "override.yaml"]).args(arguments);
        command
    }

    fn compose(&self, arguments: &[&str]) {
        let output = self.compose_command(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(
            output.status.success(),
            "compose {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A command in the running container.
    fn exec(&self, command: &[&str]) -> Output {
        let container = self.container();
        Command::new("docker").arg("exec").arg(container).args(command).stdin(Stdio::null()).output().unwrap()
    }

    fn container(&self) -> String {
        let output = self.compose_command(&["ps", "-q", "backup"]).output().unwrap();
        let containers = String::from_utf8(output.stdout).unwrap();
        match containers.lines().next() {
            Some(container) => container.to_owned(),
            // Of those that have stopped, `ps` of newer versions says nothing unless asked.
            None => docker(&[
                "ps",
                "-aq",
                "--filter",
                &format!("label=com.docker.compose.project={}", self.project),
                "--filter",
                "label=com.docker.compose.service=backup",
            ]),
        }
    }

    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "-f", format, &self.container()])
    }

    /// What has been published, oldest first.
    fn archives(&self) -> Vec<PathBuf> {
        let hidden =
            |name: &Path| name.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
        let backup = self.path("backup");
        let mut archives = files_below(&backup);
        archives.retain(|file| {
            file.extension().is_some_and(|ending| ending == "gz")
                && !hidden(file.strip_prefix(&backup).unwrap())
        });
        archives
    }

    fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
            assert_eq!(self.inspect("{{.RestartCount}}"), "0", "it ended by itself, before {what}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn wait_for_archives(&self, count: usize) -> Vec<PathBuf> {
        self.wait_for(&format!("{count} archives"), || self.archives().len() >= count);
        self.archives()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if thread::panicking() {
            let logs = self.compose_command(&["logs", "--no-color", "backup"]).output();
            if let Ok(logs) = logs {
                let _ = std::io::stderr().write_all(&logs.stdout);
            }
        }
        let _ = self.compose_command(&["down", "-v", "-t", "1"]).output();
        let _ = Command::new("docker").args(["rmi", "-f", &self.image, &self.base]).output();
    }
}

/// Below the folder, sorted by name.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // What vanishes meanwhile is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            Ok(_) => files.push(entry.path()),
            Err(_) => {}
        }
    }
    files.sort();
    files
}

/// The user whose folder it is can read it, and nobody else but root.
fn assert_owned_by_the_user(archive: &Path) {
    for path in [archive, archive.parent().unwrap()] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (USER, USER), "{}", path.display());
    }
    assert_eq!(fs::metadata(archive).unwrap().mode() & 0o7777, 0o640, "{}", archive.display());
    sh(&format!(
        "setpriv --reuid {USER} --regid {USER} --clear-groups tar -tzf {} >/dev/null",
        archive.display()
    ));
}

/// GNU tar gets the same tree from it: names, kinds, modes, owners, times and contents.
fn assert_holds(archive: &Path, data: &Path) {
    let out = tempfile::Builder::new().prefix("tarkeep-container-").tempdir_in("/var/tmp").unwrap();
    let got = out.path().join("data");
    sh(&format!("tar -C {} -xpzf {}", out.path().display(), archive.display()));
    assert_eq!(list(&got), list(data), "{}", archive.display());
    sh(&format!("diff -r --no-dereference {} {}", got.display(), data.display()));
}

/// All that is known of each file but its contents, a line each.
fn list(folder: &Path) -> String {
    sh(&format!(
        "cd {} && find . ! -type d -printf '%p %y %m %U %G %n %s %T@ %l\\n' -o -printf '%p d %m %U %G %T@\\n' | sort",
        folder.display()
    ))
}

/// The binary of the image, made as its build stage does. `./test` makes it beforehand; then this takes no time.
fn static_binary() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("image");
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--locked", "--release", "--bin", "tarkeep", "--target", &target, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo build: {}", String::from_utf8_lossy(&output.stderr));
    folder.join(target).join("release/tarkeep")
}

fn dockerfile() -> String {
    fs::read_to_string(root().join("docker/Dockerfile")).unwrap()
}

/// The other names that the build stage gives the binary.
fn links(dockerfile: &str) -> Vec<&str> {
    let names = dockerfile.split("ln -s tarkeep /out/bin/").skip(1);
    names.map(|rest| rest.split_whitespace().next().unwrap()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What these tests cannot do without, and this machine does not have.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        Some("root, to give folders to an ordinary user")
    } else if !succeeds(Command::new("docker").arg("info")) {
        Some("a Docker engine that is running")
    } else if compose().is_none() {
        Some("docker compose or docker-compose")
    } else if busybox().is_none() {
        Some("a static busybox (busybox-static)")
    } else if !succeeds(Command::new("setpriv").arg("--version")) {
        Some("setpriv (util-linux)")
    } else {
        None
    }
}

/// Compose as a plugin, as users have it, or by itself, as Debian has it.
fn compose() -> Option<Command> {
    let mut plugin = Command::new("docker");
    plugin.arg("compose");
    for command in [plugin, Command::new("docker-compose")] {
        let mut again = Command::new(command.get_program());
        again.args(command.get_args());
        let mut version = command;
        if succeeds(version.arg("version")) {
            return Some(again);
        }
    }
    None
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|path| {
        // A dynamic one names its loader.
        fs::read(path)
            .is_ok_and(|bytes| !bytes[..bytes.len().min(4096)].windows(8).any(|part| part == b"ld-linux"))
    })
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What it printed, without the end of the line.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn sh(command: &str) -> String {
    let output =
        Command::new("bash").args(["-o", "pipefail", "-c", command]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// By the wall clock, which is what schedules go by.
fn wait_until(time: DateTime<Utc>) {
    while let Ok(left) = (time - Utc::now()).to_std() {
        thread::sleep(left.min(Duration::from_millis(200)) + Duration::from_millis(1));
    }
}
