//! The promises, and what it is to break one.

use std::fmt;

/// What must not happen, each with the promise of the README that it would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// One holder at a time.
    Exclusion,
    /// Tokens rise.
    Fencing,
    /// What was told is so, after any crash.
    Durability,
    /// A server starts on what a crash left.
    Recovery,
    /// Leases last as long as was said.
    Time,
    /// No lock is held that nobody knows of.
    NoGhosts,
    /// No window admits more than its quota.
    Limits,
    /// One answer to each request, and what was not executed was not.
    OneOutcome,
    /// Some order of the operations, each between question and answer, explains all answers.
    Linearizability,
    /// The code does not panic.
    NoPanic,
    /// Nothing grows beyond its bound, and nobody is refused below it.
    Bounded,
    /// One seed is one run.
    Determinism,
}

impl Promise {
    /// The name of the promise in the README of the project.
    pub const fn invariant(self) -> &'static str {
        match self {
            Self::Exclusion => "Exclusion",
            Self::Fencing => "Fencing",
            Self::Durability | Self::Recovery => "Durability",
            Self::Time => "Time",
            Self::NoGhosts => "No ghosts",
            Self::Limits => "Limits",
            Self::OneOutcome | Self::Linearizability | Self::NoPanic => "One outcome",
            Self::Bounded => "Bounded",
            Self::Determinism => "the simulator's own",
        }
    }

    /// Which part of the invariant, where it has several.
    const fn part(self) -> Option<&'static str> {
        match self {
            Self::Recovery => Some("a server starts on what a crash left"),
            Self::Linearizability => Some("some order explains all answers"),
            Self::NoPanic => Some("the code does not panic"),
            Self::Determinism => Some("one seed is one run"),
            Self::Exclusion
            | Self::Fencing
            | Self::Durability
            | Self::Time
            | Self::NoGhosts
            | Self::Limits
            | Self::OneOutcome
            | Self::Bounded => None,
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.invariant())?;
        self.part().map_or(Ok(()), |part| write!(f, " ({part})"))
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{promise}: {what}")]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// How.
    pub what: String,
}

impl Violation {
    /// `promise` was broken in this way.
    pub fn new(promise: Promise, what: impl fmt::Display) -> Self {
        Self { promise, what: what.to_string() }
    }
}

/// Fails with the promise that was broken unless it was kept.
///
/// # Errors
/// It was not.
pub fn require(
    kept: bool,
    promise: Promise,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if kept { Ok(()) } else { Err(Violation::new(promise, what())) }
}
