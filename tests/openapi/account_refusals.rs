//! What is refused because of who asks, or how often: of every operation that wants a token.

use super::{operation, secured, send};
use crate::{
    admin::{KEY, act, scoped, setup},
    common::{ALICE, BOB, Client, Server, Setup, document::Operation, until},
};
use serde_json::{Value, json};

pub fn provoke() {
    let server = setup().flag("--failed-sign-ins", "100000").flag("--metrics", "token").start();
    for operation in secured() {
        assert_eq!(send(&server, &operation, None), 401, "{operation:?}");
    }
    strangers_to_administration(&server);
    scopes(&server);
    act(&server, "bob", "disable");
    for operation in secured() {
        assert_eq!(send(&server, &operation, Some(BOB)), 403, "{operation:?}");
    }
    too_fast();
    too_many_failures();
}

fn strangers_to_administration(server: &Server) {
    for operation in secured().filter(Operation::is_administration) {
        assert_eq!(send(server, &operation, Some(ALICE)), 403);
    }
}

/// Tokens that may something else.
fn scopes(server: &Server) {
    act(server, "alice", "promote");
    let flags = scoped(server, ALICE, "flags:read");
    let locks = scoped(server, ALICE, "locks:read");
    for operation in secured().filter(|operation| !operation.template.starts_with("/auth/")) {
        let other = if operation.template.starts_with("/flags") { &locks } else { &flags };
        assert_eq!(send(server, &operation, Some(other)), 403, "{operation:?}");
    }
    act(server, "alice", "demote");
}

fn too_fast() {
    let server = setup().flag("--requests-per-second", "1").flag("--metrics", "token").start();
    act(&server, "alice", "promote");
    let me = operation("getMe");
    let mut token = ALICE.to_owned();
    for operation in secured() {
        until("it asks too fast", || {
            while send(&server, &me, Some(&token)) != 429 {}
            let mut client = Client::new(&server.address, &token);
            let answer = client.send(&operation.method, &operation.path(), b"");
            // There was a moment too much between the two, in which it was let rotate.
            let fresh: Option<Value> = serde_json::from_slice(&answer.body).ok();
            if let Some(fresh) = fresh.as_ref().and_then(|body| body["token"].as_str()) {
                fresh.clone_into(&mut token);
            }
            (answer.status == 429).then_some(())
        });
    }
}

fn too_many_failures() {
    let setup = Setup::new().variable("ADMIN_KEY", KEY).flag("--metrics", "token");
    let server = setup.flag("--failed-sign-ins", "1").start();
    let mut guesser = Client::new(&server.address, "guess");
    // A thousand wrong tokens a minute are let pass: they are sent in one go.
    let mut connection = server.connect();
    connection.send(&guesser.bytes("GET", "/auth/me", b"").repeat(1_100));
    for _ in 0..1_100 {
        connection.read();
    }
    for operation in secured() {
        until("it has failed too often", || {
            let answer = guesser.send(&operation.method, &operation.path(), b"");
            (answer.status == 429).then_some(())
        });
    }
    // The same for codes and sign-ins.
    let body = json!({ "grant_type": "x" });
    Client::anonymous(&server.address)
        .post("/auth/token", &body)
        .refused(400, "unsupported_grant_type");
}
