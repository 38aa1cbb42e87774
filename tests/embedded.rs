//! Inside a program that has more to do than to serve: what such a program may do, and what it must
//! not be surprised by. What is everybody's in a process, such as its folder, is changed in one of its own.

use crate::common::{Address, Client, Connection, Setup};
use clap::CommandFactory;
use octostore::{
    app::App,
    clock::{SystemClock, TimeSource},
    http::Listener,
    settings::{Bind, Settings},
    systemd::Given,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    env, fs,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Runs `test`, which is called `name` here, in a process of its own.
fn apart(name: &str, test: impl FnOnce()) {
    apart_with(name, &[], test);
}

/// The same, with these variables in its environment besides.
fn apart_with(name: &str, variables: &[(String, &str)], test: impl FnOnce()) {
    const IS_APART: &str = "OCTOSTORE_TEST_APART";
    if env::var_os(IS_APART).is_some() {
        return test();
    }
    let program = env::current_exe().unwrap();
    let name = format!("embedded::{name}");
    let mut command = Command::new(program);
    command.args(["--exact", &name]).env(IS_APART, "1").envs(variables.iter().cloned());
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn settings(database: &Path) -> Settings {
    Settings::from_args(["octostore".as_ref(), "--database".as_ref(), database.as_os_str()])
        .unwrap()
}

fn start(settings: &Settings, listeners: Vec<Listener>) -> App {
    let time: Arc<dyn TimeSource> = Arc::new(SystemClock);
    App::start(settings, listeners, &time).unwrap()
}

/// A listener on a port of this machine, and where that is.
fn on_tcp() -> (Listener, Address) {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(bound.local_addr().unwrap());
    (Listener::given(Given::Tcp(bound)).unwrap(), address)
}

/// Two folders, the first of which is where the process is.
fn here_and_elsewhere() -> (TempDir, TempDir) {
    // Where it really is, as the process says of itself.
    let root = env::temp_dir().canonicalize().unwrap();
    let (here, elsewhere) = (TempDir::new_in(&root).unwrap(), TempDir::new_in(&root).unwrap());
    env::set_current_dir(here.path()).unwrap();
    (here, elsewhere)
}

#[test]
fn a_socket_is_removed_where_it_was_made_wherever_the_program_is_by_then() {
    apart("a_socket_is_removed_where_it_was_made_wherever_the_program_is_by_then", || {
        let (here, elsewhere) = here_and_elsewhere();
        let theirs = elsewhere.path().join("s.sock");
        fs::write(&theirs, "precious").unwrap();
        let bind = Bind::Unix(PathBuf::from("s.sock"));
        let listener = runtime().block_on(Listener::bind(&bind)).unwrap();
        let ours = here.path().join("s.sock");
        assert!(ours.exists());
        env::set_current_dir(elsewhere.path()).unwrap();
        assert_eq!(listener.address(), Bind::Unix(ours.clone()));
        drop(listener);
        assert!(!ours.exists(), "left behind");
        assert!(theirs.exists(), "not ours to remove");
    });
}

#[test]
fn a_database_with_a_relative_path_is_found_wherever_the_program_is_by_then() {
    apart("a_database_with_a_relative_path_is_found_wherever_the_program_is_by_then", || {
        let (here, elsewhere) = here_and_elsewhere();
        let runtime = runtime();
        let _on_it = runtime.enter();
        let (listener, address) = on_tcp();
        let app = start(&settings(Path::new("o.db")), vec![listener]);
        env::set_current_dir(elsewhere.path()).unwrap();
        // Nothing can be put there any more.
        elsewhere.close().unwrap();

        let first_token = app.first_token().unwrap();
        assert_eq!(first_token, here.path().join("o.db.admin-token"));
        let mut admin = Client::new(&address, fs::read_to_string(first_token).unwrap().trim());
        let backup = admin.send("GET", "/admin/backup", b"");
        assert_eq!(backup.status, 200, "{}", backup.text());
        let metrics = admin.send("GET", "/metrics", b"").text();
        for file in ["database", "journal"] {
            let line = format!("octostore_storage_bytes{{file=\"{file}\"}} ");
            let bytes: f64 =
                metrics.split(&line).nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            assert!(bytes >= 4096.0, "{bytes} of the {file}");
        }
        runtime.block_on(app.run_until(async {})).unwrap();
    });
}

#[test]
fn settings_of_a_command_line_alone_are_the_same_whatever_the_environment_says() {
    let command = Settings::command();
    let known = command.get_arguments().filter_map(|argument| argument.get_env());
    let variables: Vec<_> =
        known.map(|variable| (variable.to_str().unwrap().to_owned(), "of the host")).collect();
    assert!(variables.len() > 30);
    let name = "settings_of_a_command_line_alone_are_the_same_whatever_the_environment_says";
    // Whatever this process was given; the process apart is told.
    let defaults = format!("{:?}", Settings::from_args_alone(["octostore"]).unwrap());
    apart_with(name, &[variables, vec![("DEFAULTS".to_owned(), &defaults)]].concat(), || {
        Settings::from_args(["octostore"]).unwrap_err();
        let alone = Settings::from_args_alone(["octostore"]).unwrap();
        assert_eq!(format!("{alone:?}"), env::var("DEFAULTS").unwrap());
        let said = Settings::from_args_alone(["octostore", "--bind", "x"]).unwrap_err().to_string();
        assert!(said.contains("--bind") && !said.contains("BIND_ADDR"), "{said}");
    });
}

/// Sets the soft limit of what this process may have.
fn limit(resource: Resource, most: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: most, maximum }).unwrap();
}

#[test]
fn a_server_stops_in_good_order_although_the_system_has_no_thread_to_give() {
    apart("a_server_stops_in_good_order_although_the_system_has_no_thread_to_give", || {
        let (setup, runtime) = (Setup::bare(), runtime());
        let _on_it = runtime.enter();
        let app = start(&settings(setup.database()), Vec::new());
        // There is no room for another stack.
        let before = getrlimit(Resource::As).current;
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let size = status.split_once("VmSize:").unwrap().1.split_whitespace().next().unwrap();
        limit(Resource::As, Some((size.parse::<u64>().unwrap() + 1024) * 1024));
        assert!(std::thread::Builder::new().spawn(|| {}).is_err());
        let stopped = runtime.block_on(app.run_until(async {}));
        limit(Resource::As, before);
        stopped.unwrap();
        drop(start(&settings(setup.database()), Vec::new()));
    });
}

#[test]
fn bounded_no_more_connections_are_taken_than_there_are_file_descriptors_for() {
    apart("bounded_no_more_connections_are_taken_than_there_are_file_descriptors_for", || {
        let (setup, runtime) = (Setup::bare(), runtime());
        let _on_it = runtime.enter();
        // Both ends of each are in this process.
        limit(Resource::Nofile, Some(64 + 4));
        let (listener, address) = on_tcp();
        let _app = start(&settings(setup.database()), vec![listener]);
        let mut open: Vec<_> = (0..4).map(|_| Client::anonymous(&address)).collect();
        for client in &mut open {
            assert_eq!(client.send("GET", "/health", b"").status, 200);
        }
        Connection::open(&address).read().refused(503, "too_many_connections");
        assert_eq!(getrlimit(Resource::Nofile).current, Some(64 + 4), "the limit is the program's");
    });
}

#[test]
fn a_runtime_that_cannot_serve_is_refused_before_the_database_is_opened() {
    let setup = Setup::bare();
    let start = || drop(start(&settings(setup.database()), Vec::new()));
    let without_time = Builder::new_multi_thread().enable_io().build().unwrap();
    for (runtime, names) in [(None, "no reactor"), (Some(without_time), "enable_time")] {
        let _on_it = runtime.as_ref().map(Runtime::enter);
        let said = catch_unwind(AssertUnwindSafe(start)).unwrap_err();
        let said = said
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| (*said.downcast_ref::<&str>().unwrap()).to_owned());
        assert!(said.contains(names), "{said}");
        assert!(!setup.database().exists());
    }
}

#[test]
fn a_server_starts_where_it_keeps_nobody_waiting() {
    let setup = Setup::bare();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (listener, address) = on_tcp();
        let settings = settings(setup.database());
        let starting = tokio::task::spawn_blocking(move || start(&settings, vec![listener]));
        let app = starting.await.unwrap();
        let asking = tokio::task::spawn_blocking(move || {
            Client::anonymous(&address).send("GET", "/readyz", b"").status
        });
        assert_eq!(asking.await.unwrap(), 200);
        app.run_until(async {}).await.unwrap();
    });
}

#[test]
fn a_socket_without_a_path_is_served_and_not_announced_as_one_that_has_one() {
    let setup = Setup::bare();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let name = SocketAddr::from_abstract_name(format!("embedded-{address}")).unwrap();
    let unix = UnixListener::bind_addr(&name).unwrap();
    runtime().block_on(async {
        let given = [Given::Unix(unix), Given::Tcp(tcp)];
        let listeners = given.map(|socket| Listener::given(socket).unwrap());
        let _app = start(&settings(setup.database()), listeners.into());
        let lock_file = fs::read_to_string(setup.beside("-lock")).unwrap();
        let announced: Vec<_> = lock_file.lines().skip(1).collect();
        assert_eq!(announced, [format!("http://{address}")]);
    });
}
