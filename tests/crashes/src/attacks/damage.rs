//! A wrong bit anywhere in what a killed server leaves, and a journal whose end is gone.

use super::leftovers::Leftovers;
use crate::{
    Outcome,
    lab::Lab,
    report::Report,
    server::{Exit, Host},
    worker::Work,
};

/// How many bits are tried in what one server has left.
const BITS_OF_ONE: u64 = 50;

/// The exit code of whoever refuses a damaged file.
const DATA: i32 = 65;

/// What servers leave whose files are damaged.
const WORK: Work = Work { clients: 4, requests: 60, ..Work::SCENARIO };

/// Turns over so many bits, one at a time, and cuts off as many ends.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, times: u64) -> Outcome<Vec<Report>> {
    let mut dice = fastrand::Rng::with_seed(lab.seed);
    let host = Host::new(&lab.server, &lab.folder("damage")?);
    let mut bits = Damage::default();
    let mut tails = Damage::default();
    let mut done = 0;
    while done < times {
        let leftovers = Leftovers::make(lab, Work { clients: dice.u32(1..=6), ..WORK })?;
        let count = BITS_OF_ONE.min(times - done);
        done += count;
        for _ in 0..count {
            bits.bit(&leftovers, &host, &mut dice)?;
        }
        for _ in 0..count.div_ceil(4) {
            tails.tail(&leftovers, &host, &mut dice)?;
        }
    }
    let report = |damage: Damage, promises, attack, noun| {
        Report::new(promises, attack, format!("{} {noun}", damage.tried), damage.failures)
            .tell(format!("{} served, {} refused as damaged", damage.served, damage.refused))
    };
    Ok(vec![
        report(bits, "Fencing, Durability", "a wrong bit in journal or file", "bits"),
        report(tails, "Fencing", "a journal whose end is lost", "journals"),
    ])
}

/// Loses the end of the journal so many times.
///
/// # Errors
/// It cannot be tried.
pub fn tails(lab: &Lab, times: u64) -> Outcome<Vec<String>> {
    let mut dice = fastrand::Rng::with_seed(lab.seed);
    let host = Host::new(&lab.server, &lab.folder("tails")?);
    let leftovers = Leftovers::make(lab, WORK)?;
    let mut tails = Damage::default();
    for _ in 0..times {
        tails.tail(&leftovers, &host, &mut dice)?;
    }
    Ok(tails.failures)
}

#[derive(Default)]
struct Damage {
    tried: u64,
    served: u64,
    refused: u64,
    failures: Vec<String>,
}

impl Damage {
    /// One bit is wrong: what was acknowledged is told, or the file is refused.
    fn bit(&mut self, leftovers: &Leftovers, host: &Host, dice: &mut fastrand::Rng) -> Outcome<()> {
        let suffix = if dice.bool() { "-wal" } else { "" };
        let mut bytes = leftovers.file(suffix).to_vec();
        // Behind its last page a journal is what is left of earlier ones, or nothing.
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        if end == 0 {
            return Ok(());
        }
        // The heads of files are small, and matter most.
        let at = if dice.u32(0..8) == 0 { dice.usize(..end.min(128)) } else { dice.usize(..end) };
        let bit = dice.u8(..8);
        bytes[at] ^= 1 << bit;
        leftovers.put(host)?;
        std::fs::write(host.beside(suffix), bytes)?;
        let place = format!("bit {bit} of byte {at} of octostore.db{suffix}");
        match host.spawn()?.serving()? {
            Ok(server) => {
                let wrong = leftovers.judge(&server)?;
                self.failures.extend(wrong.iter().map(|wrong| format!("{place}: {wrong}")));
                server.kill()?;
                server.exit()?;
                self.served += 1;
            }
            Err(exit) => self.refuses(&place, &exit),
        }
        self.tried += 1;
        Ok(())
    }

    /// The end of the journal is gone, or zeros: no token is granted again.
    fn tail(
        &mut self,
        leftovers: &Leftovers,
        host: &Host,
        dice: &mut fastrand::Rng,
    ) -> Outcome<()> {
        let mut bytes = leftovers.file("-wal").to_vec();
        let kept = dice.usize(..=bytes.len());
        if dice.bool() {
            bytes.truncate(kept);
        } else {
            bytes[kept..].fill(0);
        }
        leftovers.put(host)?;
        std::fs::write(host.beside("-wal"), &bytes)?;
        let place = format!("the journal from byte {kept} on, {} long", bytes.len());
        match host.spawn()?.serving()? {
            Ok(server) => {
                let wrong = leftovers.judge_token(&server)?;
                self.failures.extend(wrong.map(|wrong| format!("{place}: {wrong}")));
                server.kill()?;
                server.exit()?;
                self.served += 1;
            }
            Err(exit) => self.refuses(&place, &exit),
        }
        self.tried += 1;
        Ok(())
    }

    fn refuses(&mut self, place: &str, exit: &Exit) {
        self.refused += 1;
        if exit.code != Some(DATA) || exit.said.trim_end().lines().count() != 1 {
            self.failures.push(format!("{place}: it ends like this: {exit:?}"));
        }
    }
}
