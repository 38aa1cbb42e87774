//! What an attack tried, and what came of it.

use std::fmt;

/// What an attack tried, and what came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The promises of the project that it attacks.
    pub promises: &'static str,
    /// A short phrase.
    pub attack: String,
    /// How often, with a noun: `500 kills`.
    pub times: String,
    /// What else there is to say, a line each.
    pub told: Vec<String>,
    /// What was broken.
    pub failures: Vec<String>,
    /// It could not be tried, because of this.
    pub skipped: Option<String>,
}

impl Report {
    /// Of an attack that could be tried.
    pub fn new(promises: &'static str, attack: &str, times: String, failures: Vec<String>) -> Self {
        let attack = attack.to_owned();
        Self { promises, attack, times, told: Vec::new(), failures, skipped: None }
    }

    /// Of one that could not.
    pub fn skipped(promises: &'static str, attack: &str, why: impl Into<String>) -> Self {
        let skipped = Some(why.into());
        Self { skipped, ..Self::new(promises, attack, "0 times".to_owned(), Vec::new()) }
    }

    /// With another line.
    #[must_use]
    pub fn tell(mut self, line: String) -> Self {
        self.told.push(line);
        self
    }

    /// With what an arena has seen.
    #[must_use]
    pub fn tell_tally(self, tally: &crate::arena::Tally) -> Self {
        let crate::arena::Tally { servers, counts, verdict, kept } = tally;
        self.tell(format!(
            "{servers} servers; {} requests answered, {} with unknown outcome, {} refused for want of \
             room; {} histories of {} operations explained, {} undecided; {kept} things looked at again \
             in the end",
            counts.answered,
            counts.unknown,
            counts.full,
            verdict.explained,
            verdict.operations,
            verdict.undecided.len(),
        ))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promises, attack, times, told, failures, skipped } = self;
        if let Some(why) = skipped {
            return writeln!(f, "SKIPPED: {attack}: {why}. THIS IS NOT TESTED: {promises}");
        }
        for line in told {
            writeln!(f, "{attack}: {line}")?;
        }
        for failure in failures {
            writeln!(f, "BROKEN: {attack}: {failure}")?;
        }
        writeln!(f, "proof: {promises} | {attack} | {times} | {}", failures.len())
    }
}
