//! The comparison: every server does the same, one after the other and then the other way round, again
//! and again, so that what else the machine does hits all alike.

use crate::{
    Outcome,
    client::{self, Load},
    measurement::{Measurement, Ratios},
    options::Options,
    peers::{About, OCTOSTORE, Peer},
    workload::Workload,
};
use serde::Serialize;

/// What came out for one server.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What it had to do.
    pub workload: Workload,
    /// Which one it is.
    pub server: &'static str,
    /// What it does for durability.
    pub durability: &'static str,
    /// Over how many connections.
    pub connections: u32,
    /// Medians of all rounds.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// The octostore's numbers over its own; medians of the ratios of each round.
    pub octostore_over_it: Option<Ratios>,
}

/// The servers that take turns.
pub struct Turns {
    peers: Vec<Box<dyn Peer>>,
    /// Every measurement has locks of its own.
    runs: u32,
}

impl Turns {
    /// Of `peers`; the octostore is the first of them.
    pub fn new(peers: Vec<Box<dyn Peer>>) -> Self {
        Self { peers, runs: 0 }
    }

    /// Who they are.
    pub fn peers(&self) -> impl Iterator<Item = &About> {
        self.peers.iter().map(|peer| peer.about())
    }

    /// Has everybody do `workload` who can; one row each.
    pub fn measure(
        &mut self,
        workload: Workload,
        connections: u32,
        options: &Options,
    ) -> Outcome<Vec<Row>> {
        let playing: Vec<&dyn Peer> = self
            .peers
            .iter()
            .map(|peer| &**peer)
            .filter(|peer| peer.script(workload, 0, 0).is_some())
            .collect();
        let mut measured = vec![Vec::new(); playing.len()];
        for round in 0..options.rounds() {
            self.runs += 1;
            let mut turns: Vec<_> = playing.iter().zip(&mut measured).collect();
            // Who comes before somebody, and how late, is no advantage then.
            if round % 2 == 1 {
                turns.reverse();
            }
            for (peer, measured) in turns {
                measured.push(drive(*peer, workload, self.runs, connections, &options.load())?);
            }
        }
        let ours = measured.first().map_or(&[][..], Vec::as_slice);
        let row = |(peer, theirs): (&&dyn Peer, &Vec<Measurement>)| {
            let about = peer.about();
            Row {
                workload,
                server: about.name,
                durability: about.durability,
                connections,
                measurement: Measurement::median(theirs),
                octostore_over_it: (about.name != OCTOSTORE).then(|| Ratios::of(ours, theirs)),
            }
        };
        Ok(playing.iter().zip(&measured).map(row).collect())
    }
}

fn drive(
    peer: &dyn Peer,
    workload: Workload,
    run: u32,
    connections: u32,
    load: &Load,
) -> Outcome<Measurement> {
    let scripts = (0..connections).filter_map(|one| peer.script(workload, run, one)).collect();
    let run = client::run(peer.process(), load, scripts)
        .map_err(|error| format!("{}, {}: {error}", peer.about().name, workload.name()))?;
    Ok(Measurement::of(run, load))
}
