//! Integration tests: the real program, real HTTP, a real file, real signals.
//!
//! Every module is a group of promises, and every test is named after the one it tries to break.
//! Nothing here waits for luck: a test waits for an event, with a bound that only a broken server
//! reaches.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests drive real processes: they start threads, wait for events and read the clock"
)]

mod common;

mod abuse;
mod accounts;
mod admin;
mod admin_accounts;
mod admin_locks;
mod admin_quotas;
mod audit;
mod audit_complete;
mod audit_export;
mod backup;
mod caller;
mod config;
mod config_conditions;
mod contract;
mod contract_errors;
mod damage;
mod dashboard;
mod device;
mod device_abuse;
mod documents;
mod durability;
mod embedded;
mod exchange;
mod exchange_refused;
mod export;
mod failed_disk;
mod flags;
mod full_disk;
mod ghosts;
mod guard;
mod hostile;
mod isolation;
mod journal;
mod lifecycle;
mod limits;
mod locks;
mod malformed;
mod metrics;
mod metrics_format;
mod openapi;
mod operation;
mod overload;
mod rest;
mod restart;
mod settings_cli;
mod sign_in_abuse;
mod sign_in_github;
mod sign_in_id_token;
mod sign_in_openid;
mod sign_in_settings;
mod sockets;
mod stall;
mod start;
mod systemd;
mod time;
mod tokens;
#[cfg(feature = "otel")]
mod traces;
