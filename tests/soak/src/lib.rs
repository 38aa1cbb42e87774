//! OctoStore at overload for minutes on end: honest clients that insist on every promise, and
//! hostile ones beside them.
//!
//! - [`run`]: what happens when;
//! - [`plan`]: how long, and how many of each;
//! - [`server`]: the server as a process, and what the kernel knows of it;
//! - [`wire`]: one connection, one request, one answer;
//! - [`honest`]: clients in an open loop, at a fixed rate, that check all they hear;
//! - [`oracle`]: what must hold between answers that different clients heard;
//! - [`hostile`]: everybody else;
//! - [`gauges`]: memory, files, threads and journal over time, and whether they level off;
//! - [`findings`]: the promises that were broken;
//! - [`report`]: tables, and the lines that say what was proved.
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator reads the clock and has threads of its own"
)]

pub mod findings;
pub mod gauges;
pub mod honest;
pub mod hostile;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod run;
pub mod server;
pub mod wire;
