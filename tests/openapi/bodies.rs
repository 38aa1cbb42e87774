//! What is refused because of how a request came: its body, its query, its head.

use super::{operation, raw, secured, send, with_body};
use crate::{
    admin::{KEY, setup},
    common::{
        ALICE, Connection, Server,
        browser::BACK,
        document::{self, Operation},
        github::{CLIENT_ID, CLIENT_SECRET},
    },
};

pub fn provoke() {
    let server = setup()
        .flag("--body-timeout", "1")
        .variable("GITHUB_CLIENT_ID", CLIENT_ID)
        .variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GITHUB_REDIRECT_URI", &format!("{BACK}/auth/github/callback"))
        .start();
    slow(&server);
    for operation in with_body() {
        let token = authorization(&operation);
        let authorization = ("authorization", &*token);
        let announced = [authorization, ("content-length", "2000000")];
        assert_eq!(raw(&server, &operation, &announced, b"").read().status, 413, "{operation:?}");
        let chunked = [authorization, ("transfer-encoding", "chunked")];
        let mut broken = raw(&server, &operation, &chunked, b"");
        broken.send(b"zz\r\n");
        assert_eq!(broken.read().status, 400, "{operation:?}");
    }
    for operation in secured() {
        let of_a_list = operation.kinds().iter().any(|kind| kind.code == "invalid_query");
        if of_a_list {
            let token = authorization(&operation);
            let mut wrong = operation.clone();
            wrong.template += "?limit=0&before=x";
            let answer = raw(&server, &wrong, &[("authorization", &token)], b"").read();
            answer.refused(422, "invalid_query");
        }
    }
    for operation in document::operations() {
        let may_be_malformed =
            operation.kinds().iter().any(|kind| kind.code == "malformed_request");
        if may_be_malformed {
            raw(&server, &operation, &[("x\0y", "z")], b"")
                .read()
                .refused(400, "malformed_request");
        }
    }
    files(&server);
}

/// The key of the administrator where that is what is asked for.
fn authorization(operation: &Operation) -> String {
    let token = if operation.is_administration() { KEY } else { ALICE };
    format!("Bearer {token}")
}

/// All at once, because each is waited for.
fn slow(server: &Server) {
    let begin = |operation: Operation| {
        let token = authorization(&operation);
        raw(server, &operation, &[("authorization", &token), ("content-length", "10")], b"")
    };
    let waiting: Vec<Connection> = with_body().map(begin).collect();
    for mut connection in waiting {
        assert_eq!(connection.read().status, 408);
    }
}

/// The document and the pages, and that they are still the same.
fn files(server: &Server) {
    let asset = operation("getAsset");
    let names = asset.parameters()[0]["schema"]["enum"].as_array().unwrap();
    let assets = names.iter().map(|name| {
        let template = asset.template.replace("{file}", name.as_str().unwrap());
        Operation { template, ..asset.clone() }
    });
    let others = ["getOpenApiYaml", "getOpenApiJson", "getDocs", "getDashboard"].map(operation);
    for file in others.into_iter().chain(assets) {
        let whole = raw(server, &file, &[], b"").read();
        assert_eq!(whole.status, 200);
        assert!(!whole.body.is_empty(), "{file:?}");
        let known = [("if-none-match", whole.header("etag").unwrap())];
        assert_eq!(raw(server, &file, &known, b"").read().status, 304);
    }
    assert_eq!(send(server, &operation("getRoot"), None), 303);
    let none = Operation { template: "/assets/none".to_owned(), ..asset };
    raw(server, &none, &[], b"").read().refused(404, "not_found");
    let metrics = operation("getMetrics");
    for (accept, media) in [
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let page = raw(server, &metrics, &[("accept", accept)], b"").read();
        assert_eq!(page.header("content-type"), Some(media));
    }
    for probe in ["getHealth", "getLiveness", "getReadiness"] {
        assert_eq!(send(server, &operation(probe), None), 200);
    }
}
