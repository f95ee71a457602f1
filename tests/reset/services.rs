//! Nothing is emptied or restored under the feet of a service.

use std::fs;
use std::net::TcpListener;

use super::bench::{Bench, code, ok, said};

#[test]
fn nothing_is_emptied_while_a_service_is_up() {
    let bench = Bench::small();
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = service.local_addr().unwrap().port();
    let services = format!("127.0.0.1:1, localhost:{port}");
    let reset = |arguments: &[&str]| bench.reset_with(arguments, &[("TARKEEP_SERVICES_DOWN", &services)]);
    for arguments in [&["--yes"][..], &["--yes", "--no-backup"], &["--dry-run"]] {
        let output = reset(arguments);
        assert_eq!(code(&output), 1, "{}", said(&output));
        let wanted = format!("localhost:{port} is up and may use the data of job data; nothing was touched");
        assert!(said(&output).contains(&wanted), "{}", said(&output));
        assert!(!said(&output).contains("127.0.0.1:1 is up"), "{}", said(&output));
        bench.untouched();
    }
    let output = reset(&["--yes", "--force"]);
    ok(&output);
    let wanted = format!("localhost:{port} is up, and --force goes on");
    assert!(said(&output).contains(&wanted), "{}", said(&output));
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 1));

    fs::write(bench.data().join("again"), "x").unwrap();
    drop(service);
    ok(&reset(&["--yes"]));
    assert_eq!(bench.left(), [""; 0]);
}

#[test]
fn nothing_is_restored_over_the_data_of_a_service_that_is_up() {
    let bench = Bench::small();
    ok(&bench.tarkeep(&["backup"]).output().unwrap());
    fs::write(bench.data().join("a"), "new").unwrap();
    let service = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = service.local_addr().unwrap().to_string();
    let restore = |arguments: &[&str]| {
        let mut command = bench.tarkeep(&["restore", "latest"]);
        command.args(arguments).env("TARKEEP_SERVICES_DOWN", &address).output().unwrap()
    };
    let wanted = format!("{address} is up and may use the data of job data; nothing was touched: first stop");
    // What is at, in or around the source, by whatever name.
    let below = bench.data().join("folder/new");
    std::os::unix::fs::symlink(bench.data(), bench.at("link")).unwrap();
    let (around, link) = (bench.at(""), bench.at("link"));
    for to in [None, Some(&below), Some(&around), Some(&link)] {
        let to: Vec<&str> = to.iter().flat_map(|to| ["--to", to.to_str().unwrap()]).collect();
        let output = restore(&to);
        assert_eq!(code(&output), 1, "{to:?}: {}", said(&output));
        assert!(said(&output).contains(&wanted), "{to:?}: {}", said(&output));
        assert_eq!(fs::read(bench.data().join("a")).unwrap(), b"new");
    }
    // A place of its own is nobody's.
    let elsewhere = bench.at("elsewhere");
    let output = restore(&["--to", elsewhere.to_str().unwrap()]);
    ok(&output);
    assert!(elsewhere.is_dir() && !said(&output).contains(" is up"), "{}", said(&output));

    let output = restore(&["--force", "--yes"]);
    ok(&output);
    assert!(said(&output).contains(&format!("{address} is up, and --force goes on")), "{}", said(&output));
    bench.filled();
}

#[test]
fn check_says_which_services_are_up() {
    let bench = Bench::small();
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap();
    let mut command = bench.tarkeep(&["check"]);
    let output = command.env("TARKEEP_SERVICES_DOWN", format!("{address},127.0.0.1:1")).output().unwrap();
    ok(&output);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("ok       data: service {address}: up; while it is")), "{said}");
    assert!(said.contains("ok       data: service 127.0.0.1:1: down: connection refused"), "{said}");
}

#[test]
fn an_archive_without_an_index_is_no_way_around_it() {
    let bench = Bench::small();
    let stream = [("TARKEEP_CODEC", "none")];
    let mut backup = bench.tarkeep(&["backup"]);
    ok(&backup.envs(stream).output().unwrap());
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::remove_dir_all(bench.data()).unwrap();
    let mut command = bench.tarkeep(&["restore", "latest"]);
    let output =
        command.env("TARKEEP_SERVICES_DOWN", service.local_addr().unwrap().to_string()).output().unwrap();
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert!(said(&output).contains("is up and may use the data"), "{}", said(&output));
    assert!(!bench.data().exists());
}

#[test]
fn a_name_that_nobody_has_is_a_service_that_is_down() {
    let bench = Bench::small();
    // Below .invalid there is nothing, for ever (RFC 2606). Without a network nobody can be asked, which is said.
    let services = [("TARKEEP_SERVICES_DOWN", "database.invalid:5432")];
    let output = bench.reset_with(&["--yes"], &services);
    if said(&output).contains("there is no network in here") {
        assert_eq!(code(&output), 1, "{}", said(&output));
        return bench.untouched();
    }
    ok(&output);
    assert!(said(&output).contains("database.invalid:5432 is down: no such name"), "{}", said(&output));
}

#[test]
fn where_there_is_no_network_nobody_can_be_asked() {
    let bench = Bench::small();
    let output = |arguments: &[&str]| {
        let program = bench.tarkeep(&["reset", "--yes"]);
        let mut command = std::process::Command::new("unshare");
        command.args(["--net"]).arg(program.get_program()).args(program.get_args()).args(arguments);
        command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/bin:/bin").env("TARKEEP_ALLOW_RESET", "1");
        command.env("TARKEEP_SERVICES_DOWN", "database:5432").stdin(std::process::Stdio::null());
        command.output().unwrap()
    };
    if !super::common::disk::run("unshare", &["--net", "true"]) {
        return super::common::skip("root and the right to unshare the network");
    }
    let refused = output(&[]);
    assert_eq!(code(&refused), 1, "{}", said(&refused));
    let wanted = "database:5432: whether it is up is not known: there is no network in here";
    assert!(said(&refused).contains(wanted), "{}", said(&refused));
    bench.untouched();
    let forced = output(&["--force"]);
    ok(&forced);
    assert!(said(&forced).contains("--force goes on"), "{}", said(&forced));
}
