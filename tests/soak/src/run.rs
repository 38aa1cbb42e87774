//! What happens when: honest clients alone, hostile ones beside them, honest ones alone again, a
//! stop in the middle of requests, a restart, and a look at whether all is there.

use crate::{
    findings::{Findings, Promise},
    gauges::{Sample, Series},
    honest::{self, Kept, Ledger, Phase, World},
    hostile::{self, Crowd},
    oracle::Oracle,
    plan::{HONEST, Plan, token},
    report::Report,
    server::{Server, ServerError},
    wire::{Ask, Connection, NoAnswer},
};
use std::{
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long all hostile clients may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// How many requests are under way when the server is told to stop.
const LAST_WORDS: usize = 50;

/// Files that may stay open after everybody has left, besides those of before.
const SPARE_FILES: u64 = 16;

/// Why a run could not be made. Broken promises are no such reason: they are in the report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system says no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What the clients need could not be made.
    #[error("{0} {1}: {2}")]
    Beginning(&'static str, String, String),
    /// The honest clients panicked.
    #[error("the honest clients ended in a panic")]
    Panicked,
}

/// Runs `plan` against `program`, with the files of the server in `folder`.
///
/// # Errors
/// See [`RunError`].
pub async fn run(plan: &Plan, program: &Path, folder: &Path) -> Result<Report, RunError> {
    let findings = Arc::new(Findings::default());
    let server = Server::start(program, folder, &plan.arguments(), &Plan::tokens())?;
    for ask in honest::beginnings().into_iter().chain(hostile::beginnings()) {
        begin(&server, ask).await?;
    }
    let mut stage = Stage::set(server, plan, findings)?;
    stage.wait(plan.calm).await?;
    let before = stage.server.sample()?;

    stage.enter(Phase::Arrival);
    let crowd = Crowd::come(stage.server.address, plan, &stage.world.oracle.findings)?;
    let began = Instant::now();
    while !crowd.is_there() && began.elapsed() < ARRIVAL {
        stage.wait(LOOK).await?;
    }
    let arrived = began.elapsed();
    stage.enter(Phase::Attack);
    stage.series = Series::default();
    let (cpu, waited, attacked) = (stage.server.cpu()?, stage.server.waited()?, Instant::now());
    stage.wait(plan.attack).await?;
    let seconds = attacked.elapsed().as_secs_f64();
    let cpu = stage.server.cpu()?.saturating_sub(cpu).div_f64(seconds);
    let waited = stage.server.waited()?.saturating_sub(waited).div_f64(seconds);
    let series = std::mem::take(&mut stage.series);
    stage.enter(Phase::Arrival);
    let tallies = crowd.leave();

    let left = Instant::now();
    let after = loop {
        let sample = stage.server.sample()?;
        let given_back =
            sample.files <= before.files + SPARE_FILES && sample.threads <= before.threads;
        if given_back || left.elapsed() > plan.patience {
            break sample;
        }
        stage.wait(LOOK).await?;
    };
    let given_back = left.elapsed();
    stage.enter(Phase::Recovery);
    stage.wait(plan.recovery).await?;

    let address = stage.server.address;
    let mut kept = stage.end()?;
    kept.push(honest::counted(&stage.world.oracle));
    let (last, unanswered) = last_words(&stage, address).await?;
    kept.extend(last);
    let Stage { server, world, .. } = stage;
    let status = server.ended().await?;
    let findings = &world.oracle.findings;
    findings.check(Promise::OneOutcome, status.success(), || {
        format!("after SIGTERM the server ended with {status}")
    });

    let server = Server::start(program, folder, &plan.arguments(), &Plan::tokens())?;
    for kept in &kept {
        check(&server, kept, findings).await;
    }
    after_restart(&server, &world).await;
    server.terminate()?;
    let status = server.ended().await?;
    findings.check(Promise::OneOutcome, status.success(), || {
        format!("after a restart and SIGTERM the server ended with {status}")
    });

    let report = Report {
        plan: plan.clone(),
        oracle: Arc::clone(&world.oracle),
        ledger: Arc::clone(&world.ledger),
        tallies,
        series,
        before,
        after,
        arrived,
        given_back,
        cpu,
        waited,
        kept: kept.len(),
        unanswered,
    };
    report.judge();
    Ok(report)
}

/// The server with the honest clients at work.
struct Stage {
    server: Server,
    world: World,
    phase: watch::Sender<Phase>,
    honest: Option<JoinHandle<std::io::Result<Vec<Kept>>>>,
    began: Instant,
    series: Series,
}

impl Stage {
    fn set(server: Server, plan: &Plan, findings: Arc<Findings>) -> std::io::Result<Self> {
        let (phase, watched) = watch::channel(Phase::Calm);
        let world = World {
            server: server.address,
            oracle: Arc::new(Oracle::new(findings)),
            ledger: Arc::new(Ledger::default()),
            phase: watched,
        };
        let (theirs, seed) = (world.clone(), plan.seed);
        // A thread of their own: what the hostile clients compute must not delay them.
        let honest = std::thread::Builder::new().name("honest".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(honest::play(theirs, seed)))
        })?;
        let began = Instant::now();
        Ok(Self { server, world, phase, honest: Some(honest), began, series: Series::default() })
    }

    fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits, and looks at the server now and then.
    async fn wait(&mut self, time: Duration) -> std::io::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::sleep(LOOK.min(until - Instant::now())).await;
            let sample: Sample = self.server.sample()?;
            self.series.add(self.began.elapsed(), sample);
        }
        Ok(())
    }

    /// Has the honest clients finish, and returns what must be there now.
    fn end(&mut self) -> Result<Vec<Kept>, RunError> {
        self.enter(Phase::End);
        let ended = self.honest.take().map(JoinHandle::join);
        Ok(ended.and_then(Result::ok).ok_or(RunError::Panicked)??)
    }
}

async fn begin(server: &Server, ask: Ask) -> Result<(), RunError> {
    let why = match honest::once(server.address, &ask).await {
        Ok(answer) if answer.status == 200 => return Ok(()),
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(error) => error.to_string(),
    };
    Err(RunError::Beginning(ask.method, ask.path, why))
}

/// Tells the server to stop in the middle of requests. Each has one answer, or none and was not
/// executed: what must be there, and how many had none.
async fn last_words(
    stage: &Stage,
    address: std::net::SocketAddr,
) -> Result<(Vec<Kept>, u64), RunError> {
    let bearer = token(HONEST[3]);
    let mut connections = Vec::new();
    for _ in 0..LAST_WORDS {
        connections.push(Connection::open(address, 1).await?);
    }
    for (n, connection) in connections.iter_mut().enumerate() {
        let body = "{\"ttl_seconds\":600}".to_owned();
        let ask = Ask::post(&bearer, format!("/locks/last-{n}/acquire"), body);
        connection.send(&ask.bytes("")).await?;
    }
    stage.server.terminate()?;
    let (mut kept, mut unanswered) = (Vec::new(), 0);
    for (n, connection) in connections.iter_mut().enumerate() {
        let look = Ask::get(&bearer, format!("/locks/last-{n}"));
        let fields = match connection.read().await {
            Ok(answer) if answer.status == 200 => {
                let body: serde_json::Value =
                    serde_json::from_slice(&answer.body).unwrap_or_default();
                vec![
                    ("lease_id", body["lease_id"].clone()),
                    ("fencing_token", body["fencing_token"].clone()),
                ]
            }
            Ok(answer) if answer.status == 503 && answer.retry_after.is_some() => {
                vec![("status", "available".into())]
            }
            // It closed the door before it took the request, which the kernel had.
            Err(NoAnswer::Closed | NoAnswer::Io(_)) => {
                unanswered += 1;
                vec![("status", "available".into())]
            }
            Ok(answer) => {
                let how = format!("last-{n} was answered {}", answer.status);
                stage.world.oracle.findings.broken(Promise::OneOutcome, how);
                continue;
            }
            Err(error @ (NoAnswer::BrokeOff(_) | NoAnswer::Malformed(_))) => {
                let how = format!("last-{n} was not answered: {error}");
                stage.world.oracle.findings.broken(Promise::OneOutcome, how);
                continue;
            }
        };
        kept.push(Kept { ask: look, fields });
    }
    Ok((kept, unanswered))
}

/// Whether `kept` is there.
async fn check(server: &Server, kept: &Kept, findings: &Findings) {
    let path = &kept.ask.path;
    let answer = match honest::once(server.address, &kept.ask).await {
        Ok(answer) => answer,
        Err(error) => {
            let how = format!("after the restart {path} was not answered: {error}");
            return findings.broken(Promise::OneOutcome, how);
        }
    };
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for (name, value) in &kept.fields {
        findings.check(Promise::Durability, body[name] == *value, || {
            format!("after the restart {path} has not {name} {value}: {body}")
        });
    }
}

/// Tokens rise above all that were granted before the restart.
async fn after_restart(server: &Server, world: &World) {
    let floor = world.oracle.highest_token();
    let body = "{\"ttl_seconds\":1}".to_owned();
    let ask = Ask::post(&token(HONEST[4]), "/locks/after/acquire".to_owned(), body);
    let answer = honest::once(server.address, &ask).await;
    let granted = answer.ok().and_then(|answer| {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        body["fencing_token"].as_u64()
    });
    world.oracle.findings.check(
        Promise::Fencing,
        granted.is_some_and(|token| token > floor),
        || {
            format!(
                "after the restart a lock was granted with token {granted:?}, after {floor} was"
            )
        },
    );
}
