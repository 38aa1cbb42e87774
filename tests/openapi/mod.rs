//! The OpenAPI document against the server. Every answer of every test is held against it by
//! `tests/common/document.rs`; here every answer that it promises is provoked.

mod account_refusals;
mod bodies;
mod domains;
mod session;
mod sign_in;
mod trouble;

use crate::common::{
    Client, Connection, Server, Setup,
    document::{self, DOCUMENT, Kind, Operation},
    provider::Provider,
    request,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The documented operation of this name.
fn operation(id: &str) -> Operation {
    let mut all = document::operations().into_iter();
    all.find(|operation| operation.document["operationId"] == id).unwrap()
}

/// Those that want a token.
fn secured() -> impl Iterator<Item = Operation> {
    document::operations().into_iter().filter(Operation::is_secured)
}

/// Those that take a body.
fn with_body() -> impl Iterator<Item = Operation> {
    let all = document::operations().into_iter();
    all.filter(|operation| operation.document["requestBody"].is_object())
}

/// Sends an operation with its documented names and an empty body, and looks at nothing but that the
/// answer is documented, which is looked at anyway.
fn send(server: &Server, operation: &Operation, token: Option<&str>) -> u16 {
    let mut client = match token {
        Some(token) => Client::new(&server.address, token),
        None => Client::anonymous(&server.address),
    };
    client.send(&operation.method, &operation.path(), b"").status
}

/// Sends it with these headers and this body, on a connection of its own. Headers that it must have
/// are as documented, unless they are given here.
fn raw(
    server: &Server,
    operation: &Operation,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Connection {
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let documented = operation.required_headers().into_iter().filter(|(name, _)| !given(name));
    let headers: Vec<_> = documented.chain(headers.iter().copied()).collect();
    let mut connection = server.connect();
    connection.send(&request(&operation.method, &operation.path(), &headers, body));
    connection
}

/// What any operation may be told when the server is in trouble: it is provoked for some.
const TROUBLE: [&str; 3] = ["overloaded", "storage_full", "outcome_unknown"];

#[test]
fn every_documented_answer_is_provoked() {
    let forgotten = sign_in::Forgotten::begin();
    account_refusals::provoke();
    bodies::provoke();
    domains::provoke();
    session::provoke();
    let with_openid = sign_in::provoke();
    let with_a_full_disk = trouble::provoke();
    forgotten.is_told();

    let documented = document::operations().into_iter().flat_map(|operation| operation.kinds());
    let seen: BTreeSet<Kind> = document::seen();
    for code in TROUBLE.iter().filter(|code| with_a_full_disk || **code != "storage_full") {
        assert!(seen.iter().any(|kind| kind.code == **code), "{code} was never seen");
    }
    let missing: Vec<String> = documented
        .filter(|kind| !seen.contains(kind) && !TROUBLE.contains(&&*kind.code))
        .filter(|kind| with_openid || !kind.template.starts_with("/auth/oidc/"))
        .map(|kind| kind.to_string())
        .collect();
    assert!(missing.is_empty(), "documented, and never seen:\n{}", missing.join("\n"));
}

#[test]
fn every_path_answers_to_the_documented_methods_and_to_no_others() {
    let server = Setup::new().start();
    let all = document::operations();
    for operation in &all {
        let methods: BTreeSet<_> = all
            .iter()
            .filter(|one| one.template == operation.template)
            .map(|one| &*one.method)
            .collect();
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let answer = Client::anonymous(&server.address).send(method, &operation.path(), b"");
            let known = methods.contains(method);
            assert_eq!(answer.status != 405, known, "{method} {}", operation.template);
            let allowed = answer.header("allow").unwrap_or_default().split(", ");
            let allowed: BTreeSet<_> = allowed.filter(|allowed| *allowed != "HEAD").collect();
            assert!(known || allowed == methods, "{}: {allowed:?}", operation.template);
        }
    }
}

#[test]
fn both_forms_are_the_same_document_and_are_sent_once() {
    let server = Setup::new().start();
    let mut anybody = Client::anonymous(&server.address);
    assert_eq!(anybody.send("GET", "/openapi.json", b"").ok(), *DOCUMENT);
    for (path, content_type) in
        [("/openapi.json", "application/json"), ("/openapi.yaml", "application/yaml")]
    {
        let whole = anybody.send("GET", path, b"");
        assert_eq!(whole.header("content-type"), Some(content_type));
        let etag = whole.header("etag").unwrap();
        let mut connection = server.connect();
        connection.send(&request("GET", path, &[("if-none-match", etag)], b""));
        let again = connection.read();
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), Some(etag));
    }
    let yaml = anybody.send("GET", "/openapi.yaml", b"").text();
    assert!(yaml.starts_with("openapi: 3.1.0\n"));
}

#[test]
fn every_documented_example_conforms_to_its_schema() {
    let mut found = 0;
    examples(&DOCUMENT, &mut |schema, example| {
        found += 1;
        document::matches(schema, example).unwrap_or_else(|why| panic!("{example}: {why}"));
    });
    assert!(found > 100, "{found}");
}

/// Shows every schema that has an example with each of them.
fn examples(value: &Value, show: &mut impl FnMut(&Value, &Value)) {
    if let Some(object) = value.as_object() {
        if let Some(schema) = object.get("schema") {
            object.get("example").into_iter().for_each(|example| show(schema, example));
            let several = object.get("examples").and_then(Value::as_object).into_iter().flatten();
            several.for_each(|(_, example)| show(schema, &example["value"]));
        }
        // A property may be called like that.
        if let Some(several) = object.get("examples").and_then(Value::as_array) {
            several.iter().for_each(|example| show(value, example));
        }
        object.values().for_each(|value| examples(value, show));
    }
    value.as_array().into_iter().flatten().for_each(|value| examples(value, show));
}

/// The provider of OpenID Connect, where it can run.
fn openid() -> Option<Provider> {
    Provider::start()
}
