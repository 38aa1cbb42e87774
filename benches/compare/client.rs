//! The closed loop: every connection sends its next request when it has its last answer. One
//! thread drives them all, because the servers need the rest of the machine.

use crate::{Outcome, process::Server};
use std::{
    error::Error,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
};

/// What one connection says, and what it expects to hear.
pub trait Script: Send + 'static {
    /// Appends the next request.
    fn request(&mut self, out: &mut Vec<u8>);

    /// Looks at what has come: how long the answer is, or `None` if it is not all there.
    ///
    /// # Errors
    /// The answer is not the one that had to come.
    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String>;

    /// Whether the load may end after the answer that came last.
    fn at_rest(&self) -> bool;
}

/// The parts of all connections of a load.
pub type Scripts = Vec<Box<dyn Script>>;

/// How long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Not counted.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Run {
    /// How long each operation took that ended within the measured time, in nanoseconds.
    pub latencies: Vec<u32>,
    /// What the server's threads have computed in that time.
    pub cpu: Duration,
}

/// Plays `scripts`, one on each connection to `server`.
pub fn run(server: &Server, load: &Load, scripts: Scripts) -> Outcome<Run> {
    one_thread()?.block_on(play(server, load, scripts))
}

async fn play(server: &Server, load: &Load, scripts: Scripts) -> Outcome<Run> {
    let mut streams = Vec::with_capacity(scripts.len());
    for _ in &scripts {
        streams.push(connect(server.address).await?);
    }
    let from = Instant::now() + load.warm_up;
    let window = Window { from, until: from + load.measured };
    let mut playing = JoinSet::new();
    for (mut stream, script) in streams.into_iter().zip(scripts) {
        playing.spawn(async move { converse(&mut stream, script, window).await });
    }
    tokio::time::sleep_until(window.from.into()).await;
    let before = server.cpu()?;
    tokio::time::sleep_until(window.until.into()).await;
    let cpu = server.cpu()?.saturating_sub(before);
    let mut latencies = Vec::new();
    while let Some(played) = playing.join_next().await {
        latencies.extend(played??);
    }
    Ok(Run { latencies, cpu })
}

/// Plays `script` once, from its first request until it is at rest.
pub fn play_once(address: SocketAddr, script: Box<dyn Script>) -> Outcome<()> {
    play_and_keep(address, std::iter::once(script)).map(drop)
}

/// Connections that stay open until this is dropped, and say nothing more.
#[derive(Debug)]
pub struct Idle {
    _streams: Vec<TcpStream>,
    _runtime: Runtime,
}

/// Plays each of `scripts` once, on a connection of its own, one after the other, and keeps the
/// connections.
pub fn play_and_keep(
    address: SocketAddr,
    scripts: impl Iterator<Item = Box<dyn Script>>,
) -> Outcome<Idle> {
    let runtime = one_thread()?;
    let past = Instant::now();
    let window = Window { from: past, until: past };
    let mut streams = Vec::new();
    for script in scripts {
        streams.push(runtime.block_on(async {
            let mut stream = connect(address).await?;
            converse(&mut stream, script, window).await?;
            Ok::<_, Box<dyn Error>>(stream)
        })?);
    }
    Ok(Idle { _streams: streams, _runtime: runtime })
}

fn one_thread() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The time in which operations are counted.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    until: Instant,
}

async fn converse(
    stream: &mut TcpStream,
    mut script: Box<dyn Script>,
    window: Window,
) -> Result<Vec<u32>, String> {
    let broken = |error: std::io::Error| format!("a connection broke off: {error}");
    let mut latencies = Vec::new();
    let mut out = Vec::with_capacity(512);
    let mut received = [0; 4096];
    let mut began = Instant::now();
    loop {
        out.clear();
        script.request(&mut out);
        stream.write_all(&out).await.map_err(broken)?;
        let mut filled = 0;
        loop {
            let count = stream.read(&mut received[filled..]).await.map_err(broken)?;
            if count == 0 {
                return Err("the server closed a connection".to_owned());
            }
            filled += count;
            match script.response(&received[..filled])? {
                Some(length) if length == filled => break,
                Some(_) => return Err("more came than one answer".to_owned()),
                None => {}
            }
        }
        let now = Instant::now();
        if (window.from..window.until).contains(&now) {
            let took = (now - began).as_nanos();
            latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        if now >= window.until && script.at_rest() {
            return Ok(latencies);
        }
        began = now;
    }
}
