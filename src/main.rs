//! The `octostore` command: reads the settings, serves, and stops on a signal.

use octostore::{
    app::{App, Failure, StartError},
    clock::{SystemClock, TimeSource},
    command::{self, Asked, CommandError, exit, interrupt::outlive_the_limit_of_file_sizes},
    http::{ListenError, Listener},
    log,
    settings::{Bind, LogFormat, Settings, SettingsError},
    systemd::{self, Given},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    env::VarError,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What ends the process with a message.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("RUST_LOG: {0}: give a level, as in info, or several, as in info,octostore=debug")]
    LogFilter(String),
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Fatal {
    /// The exit code, after sysexits.h.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Command(error) => error.exit_code(),
            Self::LogFilter(_) => exit::CONFIG,
            Self::Start(StartError::Settings(error)) => exit::of_settings(error),
            Self::Start(StartError::Traces(_)) => exit::CONFIG,
            Self::Runtime(_) | Self::Start(StartError::Boot(_) | StartError::Thread(_)) => exit::OS,
            Self::Listen(error) => exit::of_listen(error),
            Self::Start(StartError::Open(error)) => exit::of_open(error),
            Self::Start(StartError::Write(_)) | Self::Failure(Failure::Store(_)) => exit::IO,
            Self::Start(StartError::AdminToken { source, .. }) => {
                exit::of_file(source, exit::CANNOT_CREATE)
            }
            Self::Failure(Failure::Panicked { .. }) => exit::SOFTWARE,
        }
    }
}

fn main() -> ExitCode {
    // Also if it panics.
    let _at_the_end = log::AtTheEnd;
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal::Command(CommandError::Settings(SettingsError::Help(text)))) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(fatal) => {
            log::say(&format!("octostore: {}\n", command::printable(&fatal.to_string())));
            ExitCode::from(fatal.exit_code())
        }
    }
}

fn run() -> Result<(), Fatal> {
    let settings = match command::run(std::env::args_os().collect())? {
        Asked::Serve(settings) => *settings,
        Asked::Done(text) => {
            print(&text);
            return Ok(());
        }
    };
    // Before there is any thread.
    let given = systemd::given_sockets().map_err(ListenError::Given)?;
    start_logging(settings.log_format)?;
    raise_limit_of_open_files();
    let runtime = runtime(settings.http_threads).map_err(Fatal::Runtime)?;
    let served = runtime.block_on(serve(&settings, given));
    // Nobody waits for what is left, such as for a name server that does not answer.
    runtime.shutdown_background();
    served
}

async fn serve(settings: &Settings, given: Vec<Given>) -> Result<(), Fatal> {
    // Before anything is opened: a signal during the start must end it in good order too.
    let shutdown = shutdown_signal().map_err(Fatal::Runtime)?;
    outlive_the_limit_of_file_sizes().map_err(Fatal::Runtime)?;
    let mut listeners = Vec::new();
    if given.is_empty() {
        for bind in &settings.bind {
            listeners.push(Listener::bind(bind).await?);
        }
    }
    // Whoever hands sockets over says where to listen.
    for socket in given {
        listeners.push(Listener::given(socket)?);
    }
    let addresses: Vec<Bind> = listeners.iter().map(Listener::address).collect();
    let time: Arc<dyn TimeSource> = Arc::new(SystemClock);
    let app = App::start(settings, listeners, &time)?;
    let pages = app.sign_in_pages();
    let token_file = app.token_to_try(&settings.database.0);
    print(&greeting(&addresses, &settings.database.0, &pages, (app.first_token(), token_file)));
    match settings.log_format {
        // People have read it just now.
        LogFormat::Text => {}
        LogFormat::Json => tracing::info!(addresses = %list(&addresses), "ready"),
    }
    systemd::ready(&format!("listening on {}", list(&addresses)));
    app.run_until(async {
        shutdown.await;
        systemd::stopping();
    })
    .await?;
    tracing::info!("stopped: everything acknowledged is on disk");
    Ok(())
}

/// Done at the first SIGTERM or SIGINT. The second ends the process at once.
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (first, seen) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            }
        };
        next().await;
        tracing::info!("stopping: answering what has come; a second signal ends it at once");
        // If nobody waits for it, the process ends already.
        let _ends_already = first.send(());
        let second = next().await;
        log::end();
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(async move {
        let _signal_or_gone = seen.await;
    })
}

/// What it is, where it listens, where its data lies, and a line to paste.
fn greeting(
    addresses: &[Bind],
    database: &Path,
    sign_in_pages: &[String],
    (first_token, token_file): (Option<&Path>, Option<PathBuf>),
) -> String {
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut text = format!(
        "octostore {} is ready: locks, rate limits, flags and configuration over HTTP\n  \
           listening on {}\n  \
           data in      {}\n",
        env!("CARGO_PKG_VERSION"),
        list(addresses),
        database.display(),
    );
    for page in sign_in_pages {
        text += &format!("  sign in at   {page}\n");
    }
    if let Some(file) = first_token.map(Path::display) {
        text += &format!("  account      admin, made just now; its token is in {file}\n");
    }
    let target = match addresses.first() {
        Some(Bind::Unix(path)) => {
            format!("--unix-socket {} http://localhost", quoted(path))
        }
        Some(address @ Bind::Tcp(_)) => address.to_string(),
        None => String::new(),
    };
    text += &match token_file {
        Some(file) => format!(
            "  first lock   curl -X POST {target}/locks/my-first-lock/acquire \
             -H \"Authorization: Bearer $(cat {})\" \
             -H 'Content-Type: application/json' -d '{{\"ttl_seconds\": 60}}'\n",
            quoted(&file)
        ),
        None => format!("  to try it    curl {target}/health\n"),
    };
    text
}

/// A path as a shell reads it, whatever is in it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn list(addresses: &[Bind]) -> String {
    addresses.iter().map(Bind::to_string).collect::<Vec<_>>().join(", ")
}

/// Prints to standard output, where a closed pipe is no reason to stop.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn start_logging(format: LogFormat) -> Result<(), Fatal> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => {
            let mut words = directives.split(',');
            // Within braces a comma separates fields.
            if !directives.contains('{')
                && let Some(word) = words.find(|word| is_misspelt(word))
            {
                return Err(Fatal::LogFilter(format!("{word} is no level")));
            }
            EnvFilter::try_new(&directives).map_err(|error| Fatal::LogFilter(error.to_string()))?
        }
        Err(VarError::NotUnicode(_)) => return Err(Fatal::LogFilter("not UTF-8".to_owned())),
        Ok(_) | Err(VarError::NotPresent) => EnvFilter::new("info"),
    };
    // To say on standard error that a line could not be written there would be a panic, on whichever
    // thread has something to say.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log::start())
        .log_internal_errors(false);
    match format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// Whether a directive is a word by itself that is no level: it would be taken for a part of the program, of
/// which everything is logged, and of all others nothing.
fn is_misspelt(directive: &str) -> bool {
    let word = directive.trim();
    let is_level = word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let says_more = word.contains(['=', '[', ':']) || word.starts_with("octostore");
    !word.is_empty() && !is_level && !says_more
}

/// Asks the system for as many file descriptors as it gives: no more connections than that are taken.
fn raise_limit_of_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn runtime(http_threads: u16) -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if http_threads == 0 { (cores / 2).max(1) } else { http_threads.into() };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("http")
        .enable_all()
        .build()
}
