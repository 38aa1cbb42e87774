//! What HTTP alone allows: a bare hyper server that gives the very bytes of our answers, and does
//! nothing for them. It is this program again, as a process of its own, with the allocator that the
//! octostore has and without Nagle's delay; it does not even read what is asked, only by what method
//! and of what path. There are two: one with the threads and the buffer that the octostore has, and
//! one with what tokio and hyper do if they are told nothing of these.

use super::{About, CEILING, Peer, STOCK, octostore::ACCOUNTS};
use crate::{
    Outcome,
    client::Script,
    dialogue::{Dialogue, Manner},
    http::Answer,
    process::Server,
    workload::Workload,
};
use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
};

/// As the octostore has it.
const BUFFER_SIZE: usize = 16 * 1024;

/// Whose answers it gives. A look at a lock comes before an acquire with a release: what is
/// recorded first stays, and a look has to show the lease that was acquired.
const RECORDED: [Workload; 6] = [
    Workload::Get,
    Workload::AcquireRelease,
    Workload::Check,
    Workload::Evaluate,
    Workload::ConfigGet,
    Workload::Probe,
];

/// How it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Make {
    /// As the octostore is: a worker thread for every two cores, and its buffer.
    Ours,
    /// As it comes: a worker thread a core, and what hyper does if it is told nothing.
    Stock,
}

/// A running one.
#[derive(Debug)]
pub struct Ceiling {
    about: About,
    process: Server,
}

impl Ceiling {
    /// Records what `ours` answers, in `folder`, and starts servers that answer so: one of each
    /// make.
    pub fn start(ours: &impl Peer, folder: &Path) -> Outcome<[Self; 2]> {
        let mut answers = Vec::new();
        for workload in RECORDED {
            let script = ours.script(workload, 0, 0).ok_or("the octostore plays all workloads")?;
            record(ours.process().address, script, &mut answers)?;
        }
        let file = folder.join("answers.json");
        std::fs::write(&file, serde_json::to_vec(&answers)?)?;
        let one = |make: Make| -> Outcome<Self> {
            let word = make.to_possible_value().ok_or("every make has a name")?;
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--answers").arg(&file).arg("--make").arg(word.get_name());
            let process = Server::start_and_hear(&mut command)?;
            let (name, how) = match make {
                Make::Ours => {
                    (CEILING, "the recorded answers of the octostore; its threads, its buffer")
                }
                Make::Stock => {
                    (STOCK, "the same answers; tokio's and hyper's defaults, a thread a core")
                }
            };
            let version = "hyper 1, as the octostore is built with it".to_owned();
            let about = About { name, version, durability: "none: it stores nothing", how };
            Ok(Self { about, process })
        };
        Ok([one(Make::Ours)?, one(Make::Stock)?])
    }
}

impl Peer for Ceiling {
    fn about(&self) -> &About {
        &self.about
    }

    fn process(&self) -> &Server {
        &self.process
    }

    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>> {
        let prefix = format!("r{run}-c{connection}");
        let dialogue = Dialogue::new(workload, Manner::Recorded, prefix, connection % ACCOUNTS);
        RECORDED.contains(&workload).then(|| Box::new(dialogue) as _)
    }
}

/// One answer, and what it answers.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    method: String,
    /// What the path begins with: `/locks/`.
    domain: String,
    /// What it ends with, if it is a POST: `/acquire`.
    action: String,
    status: u16,
    /// But for those that hyper makes.
    headers: Vec<(String, String)>,
    body: String,
}

impl Recorded {
    fn of(request: &str, answer: Answer<'_>) -> Result<Self, String> {
        let mut words = request.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err(format!("not understood: {request}"));
        };
        let domain = path.split_inclusive('/').take(2).collect();
        let action = path.rfind('/').filter(|_| method == "POST").map_or("", |at| &path[at..]);
        let by_hyper = ["content-length", "date"];
        Ok(Self {
            method: method.to_owned(),
            domain,
            action: action.to_owned(),
            status: answer.status,
            headers: answer
                .headers()
                .filter(|(name, _)| !by_hyper.contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: answer.body.to_owned(),
        })
    }

    fn answers(&self, method: &str, path: &str) -> bool {
        self.method == method && path.starts_with(&self.domain) && path.ends_with(&self.action)
    }
}

/// Has `script` say two things to the server at `address`, and notes the answers; of the same kind
/// only the first.
fn record(
    address: SocketAddr,
    mut script: Box<dyn Script>,
    answers: &mut Vec<Recorded>,
) -> Outcome<()> {
    let mut stream = TcpStream::connect(address)?;
    for _ in 0..2 {
        let mut request = Vec::new();
        script.request(&mut request);
        stream.write_all(&request)?;
        let mut received = Vec::new();
        while script.response(&received)?.is_none() {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece)?;
            if count == 0 {
                return Err("the server closed a connection".into());
            }
            received.extend_from_slice(&piece[..count]);
        }
        let answer = Answer::read(&received)?.ok_or("half an answer")?;
        let new = Recorded::of(std::str::from_utf8(&request)?, answer)?;
        let same = |old: &Recorded| {
            (&old.method, &old.domain, &old.action) == (&new.method, &new.domain, &new.action)
        };
        if !answers.iter().any(same) {
            answers.push(new);
        }
    }
    Ok(())
}

/// An answer that is ready to be given.
struct Ready {
    recorded: Recorded,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Ready {
    fn new(recorded: Recorded) -> Outcome<Self> {
        let mut headers = HeaderMap::new();
        for (name, value) in &recorded.headers {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        let status = StatusCode::from_u16(recorded.status)?;
        let body = Bytes::from(recorded.body.clone());
        Ok(Self { recorded, status, headers, body })
    }
}

/// Serves the answers in `file` until the process is killed, and says where.
pub fn serve(file: &Path, make: Make) -> Outcome<()> {
    let recorded: Vec<Recorded> = serde_json::from_slice(&std::fs::read(file)?)?;
    let answers: Arc<[Ready]> = recorded.into_iter().map(Ready::new).collect::<Outcome<_>>()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if make == Make::Ours {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        runtime.worker_threads((cores / 2).max(1));
    }
    // As in the octostore, connections are not served by the thread that started it.
    let accepting = async { tokio::spawn(accept(answers, make)).await? };
    runtime.enable_all().build()?.block_on(accepting).map_err(Into::into)
}

async fn accept(answers: Arc<[Ready]>, make: Make) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request| {
            let answer = answer(&answers, &request);
            async { Ok::<_, Infallible>(answer) }
        });
        let mut builder = http1::Builder::new();
        if make == Make::Ours {
            builder.max_buf_size(BUFFER_SIZE).writev(false).half_close(false);
        }
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(answers: &[Ready], request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let mut response = Response::new(Full::default());
    match answers.iter().find(|ready| ready.recorded.answers(method, path)) {
        Some(ready) => {
            *response.status_mut() = ready.status;
            response.headers_mut().clone_from(&ready.headers);
            *response.body_mut() = Full::new(ready.body.clone());
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}
