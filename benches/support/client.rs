//! The closed loop: every connection sends its next request when it has its last answer. One
//! thread drives them all, because the servers need the rest of the machine.

use crate::{Outcome, process::Server};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many connections.
    pub connections: u32,
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
pub fn run<S: Script>(server: &Server, load: &Load, scripts: Vec<S>) -> Outcome<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(server, load, scripts))
}

async fn play<S: Script>(server: &Server, load: &Load, scripts: Vec<S>) -> Outcome<Run> {
    let mut streams = Vec::with_capacity(scripts.len());
    for _ in &scripts {
        streams.push(connect(server.address).await?);
    }
    let from = Instant::now() + load.warm_up;
    let window = Window { from, until: from + load.measured };
    let mut playing = JoinSet::new();
    for (stream, script) in streams.into_iter().zip(scripts) {
        playing.spawn(converse(stream, script, window));
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
pub fn play_once<S: Script>(address: SocketAddr, script: S) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let past = Instant::now();
    let window = Window { from: past, until: past };
    runtime
        .block_on(async { Ok(converse(connect(address).await?, script, window).await.map(drop)?) })
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

async fn converse<S: Script>(
    mut stream: TcpStream,
    mut script: S,
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
