//! As much of HTTP/1.1 as the clients need: whole answers with a `content-length`.

use crate::Outcome;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// An answer that has come in full.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its status line and headers, without the empty line.
    pub head: &'a str,
    /// Its body.
    pub body: &'a str,
    /// How many bytes all of it has.
    pub length: usize,
}

impl<'a> Answer<'a> {
    /// The answer that `received` begins with; `None` if it is not all there.
    pub fn read(received: &'a [u8]) -> Result<Option<Self>, String> {
        let text = std::str::from_utf8(received).map_err(|error| error.to_string())?;
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = header(head, "content-length").and_then(|length| length.parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(format!("not understood: {head}"));
        };
        let body = rest.get(..length);
        Ok(body.map(|body| Self { status, head, body, length: head.len() + 4 + length }))
    }

    /// The names and values of its headers.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "))
    }
}

/// The value of the header `name` in `head`, whatever the case of its letters.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (before, after) = line.split_at_checked(name.len())?;
        before.eq_ignore_ascii_case(name).then(|| after.strip_prefix(": "))?
    })
}

/// The status and the body of what `address` answers to a GET of `path`.
pub fn get(address: SocketAddr, path: &str) -> Outcome<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    let answer = Answer::read(&received)?.ok_or("the answer is not all there")?;
    Ok((answer.status, answer.body.to_owned()))
}

/// What follows `mark` in `body`, which must be there.
pub fn after<'a>(body: &'a str, mark: &str) -> Result<&'a str, String> {
    let at = body.find(mark).ok_or_else(|| format!("no {mark} in {body}"))?;
    Ok(&body[at + mark.len()..])
}

/// The number that follows `mark` in `body`.
pub fn number_after(body: &str, mark: &str) -> Result<u64, String> {
    let digits = after(body, mark)?.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("no number after {mark} in {body}"))
}
