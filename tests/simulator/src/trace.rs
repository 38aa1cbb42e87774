//! What happened in a scenario: its hash always, its text on demand.

use std::fmt::{self, Write};

/// Two runs of one seed must leave one trace.
#[derive(Debug)]
pub struct Trace {
    hash: Hash,
    text: Option<String>,
}

#[derive(Debug)]
struct Hash(u64);

impl Write for Hash {
    /// FNV-1a.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    /// An empty one; one that is `readable` keeps its text.
    pub fn new(readable: bool) -> Self {
        Self { hash: Hash(0xcbf2_9ce4_8422_2325), text: readable.then(String::new) }
    }

    /// Adds a line.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        // Neither can fail: they write into memory.
        let _hashed = writeln!(self.hash, "{line}");
        if let Some(text) = &mut self.text {
            let _written = writeln!(text, "{line}");
        }
    }

    /// What stands for all lines so far.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }

    /// All lines so far, if they are kept.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}
