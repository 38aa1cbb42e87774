//! Under systemd: sockets that are handed over, and what it is told. A stand-in hands them over as
//! systemd does, from file descriptor 3 on.

use crate::common::{ALICE, Address, Client, Setup, until};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind};
use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::{
        fd::AsFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    process::{Child, Command, Stdio},
};

/// Runs `command` with these sockets as its file descriptors from 3 on: a shell does what this
/// program may not, between fork and exec.
fn with_sockets(command: &Command, sockets: &[&dyn AsFd]) -> Command {
    let mut moves = String::new();
    let mut kept = Vec::new();
    for (index, socket) in sockets.iter().enumerate() {
        // Far enough from those that they become, and not closed on exec.
        let copy = rustix::io::fcntl_dupfd_cloexec(socket.as_fd(), 60).unwrap();
        rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&copy);
        moves += &format!("exec {}<&{number} {number}<&-; ", 3 + index);
        kept.push(copy);
    }
    // They stay open until the child has them.
    std::mem::forget(kept);
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(format!("{moves}export LISTEN_PID=$$ LISTEN_FDS={}; exec \"$@\"", sockets.len()))
        .arg("octostore")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    shell
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("it ends", || self.0.try_wait().unwrap()).code()
    }
}

#[test]
fn sockets_that_are_handed_over_are_served_and_nothing_else() {
    let setup = Setup::new().bind("127.0.0.1:1");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = setup.folder().join("given.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let mut running = Running(with_sockets(&setup.command(), &[&tcp, &unix]).spawn().unwrap());
    // Whoever connects before it has started is answered when it has.
    let mut by_tcp = Client::new(&Address::Tcp(tcp.local_addr().unwrap()), ALICE);
    let lease = by_tcp.acquire("a", 60).lease();
    let mut by_socket = Client::new(&Address::Unix(path.clone()), ALICE);
    assert_eq!(by_socket.get("a").lease(), lease);
    assert_eq!(running.terminate(), Some(0));
    assert!(path.exists(), "the socket is not ours to remove");

    // The next start has what came meanwhile.
    let mut waiting = Client::new(&Address::Unix(path), ALICE);
    let _running = Running(with_sockets(&setup.command(), &[&tcp, &unix]).spawn().unwrap());
    assert_eq!(waiting.get("a").lease(), lease);
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let setup = Setup::new();
    let datagrams = UnixDatagram::bind(setup.folder().join("d")).unwrap();
    // Nobody has called listen for these.
    let silent = |family| rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    let (tcp, unix) = (silent(AddressFamily::INET), silent(AddressFamily::UNIX));
    bind(&tcp, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    bind(&unix, &SocketAddrUnix::new(setup.folder().join("u")).unwrap()).unwrap();
    for socket in [&datagrams as &dyn AsFd, &tcp, &unix] {
        let mut shell = with_sockets(&setup.command(), &[socket]);
        let mut running = Running(shell.stderr(Stdio::piped()).spawn().unwrap());
        let code = until("it ends", || running.0.try_wait().unwrap()).code();
        let said = std::io::read_to_string(running.0.stderr.take().unwrap()).unwrap();
        assert_eq!(code, Some(78), "{said}");
        assert!(said.lines().count() == 1 && said.contains("LISTEN_FDS"), "{said}");
    }
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let setup = Setup::new().variable("LISTEN_FDS", "1").variable("LISTEN_PID", "1");
    setup.start().alice().acquire("a", 60).ok();
}

/// The next thing that systemd is told.
fn told(systemd: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = systemd.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn systemd_is_told_when_requests_are_welcome_and_when_the_end_begins() {
    let setup = Setup::new();
    let by_path = setup.folder().join("notify");
    let name = format!("octostore-test-{}", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    for (systemd, known_as) in [
        (UnixDatagram::bind(&by_path).unwrap(), by_path.to_str().unwrap().to_owned()),
        (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
    ] {
        systemd.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        let server = setup.clone().variable("NOTIFY_SOCKET", &known_as).start();
        let ready = told(&systemd);
        assert!(ready.starts_with("READY=1\nSTATUS=listening on http://127.0.0.1:"), "{ready}");
        server.alice().acquire("a", 60).ok();
        server.stop();
        assert_eq!(told(&systemd), "STOPPING=1\n");
    }
    // A start that fails is never said to be ready, and one that nobody listens to serves.
    let systemd = UnixDatagram::bind(setup.folder().join("other")).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let socket = setup.folder().join("other").to_str().unwrap().to_owned();
    let broken = setup.clone().variable("NOTIFY_SOCKET", &socket).bind("192.0.2.1:1");
    assert_eq!(broken.run().code, Some(69));
    assert!(systemd.recv(&mut [0; 9]).is_err());
    setup.variable("NOTIFY_SOCKET", "/no/such/socket").start().alice().acquire("a", 60).ok();
}
