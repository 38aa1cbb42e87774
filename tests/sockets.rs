//! Where it listens: several addresses, and Unix sockets.

use crate::common::{ALICE, Address, Client, Setup};
use std::{
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::PathBuf,
    process::Command,
};

fn on_a_unix_socket() -> (Setup, PathBuf) {
    let setup = Setup::new();
    let path = setup.folder().join("o.sock");
    let bind = format!("unix:{}", path.display());
    (setup.bind(&bind), path)
}

#[test]
fn a_unix_socket_serves_and_is_removed_at_the_end() {
    let (setup, path) = on_a_unix_socket();
    let server = setup.start();
    let meta = std::fs::metadata(&path).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o007, 0, "not for everybody");
    let mut alice = server.alice();
    let lease = alice.acquire("a", 60).lease();
    assert_eq!(server.bob().acquire("a", 60).status, 409);
    alice.release("a", &lease).ok();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_stale_unix_socket_is_replaced_and_a_living_one_is_not() {
    let (setup, path) = on_a_unix_socket();
    let server = setup.start();
    let lease = server.alice().acquire("a", 3600).lease();
    server.kill();
    assert!(path.exists(), "left behind");
    let server = setup.start();
    server.alice().renew("a", &lease, 60).ok();

    let elsewhere = setup.folder().join("other.db");
    let second = setup.clone().database_at(&elsewhere).run();
    assert_eq!(second.code, Some(69));
    assert!(second.one_line().contains("in use"), "{second:?}");
    server.alice().renew("a", &lease, 60).ok();
    server.stop();

    let living = UnixListener::bind(&path).unwrap();
    assert_eq!(setup.run().code, Some(69));
    assert!(path.exists());
    drop(living);
    setup.start().stop();
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let (setup, path) = on_a_unix_socket();
    std::fs::write(&path, "precious").unwrap();
    let refused = setup.run();
    assert_eq!(refused.code, Some(69));
    assert!(refused.one_line().contains("not a socket"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn it_listens_on_several_addresses() {
    let setup = Setup::new();
    let path = setup.folder().join("o.sock");
    let bind = format!("127.0.0.1:0,unix:{}", path.display());
    let server = setup.bind(&bind).start();
    let lease = server.alice().acquire("a", 60).lease();
    let mut by_socket = Client::new(&Address::Unix(path.clone()), ALICE);
    assert_eq!(by_socket.get("a").lease(), lease);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn an_address_in_use_is_one_line() {
    let server = Setup::new().start();
    let url = server.url();
    let refused = Setup::new().bind(url.strip_prefix("http://").unwrap()).run();
    assert_eq!(refused.code, Some(69));
    let line = refused.one_line();
    assert!(line.contains(&url) && line.contains("in use"), "{line}");
}

#[test]
fn a_first_start_on_a_unix_socket_prints_a_line_that_works() {
    let setup = Setup::bare();
    let path = setup.folder().join("o.sock");
    let server = setup.bind(&format!("unix:{}", path.display())).start();
    let out = server.out();
    let line = out[out.find("curl ").unwrap()..].lines().next().unwrap();
    assert!(line.contains(&path.display().to_string()), "{line}");
    if Command::new("curl").arg("--version").output().is_ok() {
        let done = Command::new("sh").args(["-c", line]).output().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(body["status"], "acquired");
    }
}
