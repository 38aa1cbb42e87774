//! What is done to the servers.

use clap::{ValueEnum, builder::PossibleValue};
use serde::{Serialize, Serializer};

/// What the clients do, one operation a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Takes a free lock, then releases it; each is an operation.
    AcquireRelease,
    /// Extends a lease.
    Renew,
    /// Looks at a held lock.
    Get,
    /// Asks for a lock that another account holds, and hears 409.
    Contended,
    /// Checks a rate limit that is far from full.
    Check,
    /// Evaluates a flag for a key.
    Evaluate,
    /// Reads a small config value.
    ConfigGet,
    /// Writes the next version of it.
    ConfigPut,
    /// Asks nothing: what HTTP alone costs here.
    Probe,
}

impl Workload {
    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcquireRelease => "acquire+release",
            Self::Renew => "renew",
            Self::Get => "get",
            Self::Contended => "contended acquire",
            Self::Check => "limit check",
            Self::Evaluate => "flag evaluation",
            Self::ConfigGet => "config get",
            Self::ConfigPut => "config put",
            Self::Probe => "probe",
        }
    }
}

impl Serialize for Workload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is measured otherwise than by turns at a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// How long a get takes while others acquire and release.
    GetBesideWrites,
    /// A million held locks: speed, memory, restart, and a mass expiry.
    HeldLocks,
    /// Memory of connections that say nothing.
    IdleConnections,
    /// From the start of the program to its being ready.
    Start,
}

impl Scenario {
    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetBesideWrites => "get-beside-writes",
            Self::HeldLocks => "held-locks",
            Self::IdleConnections => "idle-connections",
            Self::Start => "start",
        }
    }
}

/// What can be measured by itself, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Every server that can, in turns.
    Turns(Workload),
    /// The octostore alone.
    Alone(Scenario),
}

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Turns(Workload::AcquireRelease),
            Self::Turns(Workload::Renew),
            Self::Turns(Workload::Get),
            Self::Turns(Workload::Contended),
            Self::Turns(Workload::Check),
            Self::Turns(Workload::Evaluate),
            Self::Turns(Workload::ConfigGet),
            Self::Turns(Workload::ConfigPut),
            Self::Turns(Workload::Probe),
            Self::Alone(Scenario::GetBesideWrites),
            Self::Alone(Scenario::HeldLocks),
            Self::Alone(Scenario::IdleConnections),
            Self::Alone(Scenario::Start),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Turns(Workload::AcquireRelease) => "acquire-release",
            Self::Turns(Workload::Renew) => "renew",
            Self::Turns(Workload::Get) => "get",
            Self::Turns(Workload::Contended) => "contended",
            Self::Turns(Workload::Check) => "check",
            Self::Turns(Workload::Evaluate) => "evaluate",
            Self::Turns(Workload::ConfigGet) => "config-get",
            Self::Turns(Workload::ConfigPut) => "config-put",
            Self::Turns(Workload::Probe) => "probe",
            Self::Alone(scenario) => scenario.name(),
        }))
    }
}
