//! What a connection has asked so far: the heads of the requests among the bytes that were sent,
//! however they were cut, so that every answer can be held against its own request.

use std::collections::VecDeque;

/// A method and a target, as they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
}

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub struct Asked {
    unread: Vec<u8>,
    body: Body,
    waiting: VecDeque<Request>,
}

/// What is still to come of the request before the next one.
#[derive(Debug, Default)]
enum Body {
    /// Nothing.
    #[default]
    Over,
    /// So many bytes.
    Left(usize),
    /// Chunks.
    Chunks,
    /// Nobody can say where this request ends, so none comes after it.
    Endless,
}

impl Asked {
    /// These bytes were sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        while self.advance() {}
    }

    /// The request that the next answer is to; `None` if none was complete enough to be one.
    pub fn answered(&mut self) -> Option<Request> {
        self.waiting.pop_front()
    }

    fn advance(&mut self) -> bool {
        match self.body {
            Body::Over => self.head(),
            Body::Endless => false,
            Body::Left(left) => {
                let here = left.min(self.unread.len());
                self.unread.drain(..here);
                self.body = if here == left { Body::Over } else { Body::Left(left - here) };
                here == left
            }
            Body::Chunks => {
                let Some(line) = self.up_to(b"\r\n") else { return false };
                let size = std::str::from_utf8(&line).ok().and_then(|line| {
                    usize::from_str_radix(line.trim_end(), 16).ok().filter(|&size| size < 1 << 30)
                });
                match size {
                    None => self.body = Body::Endless,
                    Some(0) => {
                        self.up_to(b"\r\n");
                        self.body = Body::Over;
                    }
                    // Its end is looked for as another line, which is empty.
                    Some(size) if self.unread.len() >= size + 2 => {
                        self.unread.drain(..size + 2);
                    }
                    Some(_) => {
                        self.unread.splice(..0, line);
                        return false;
                    }
                }
                true
            }
        }
    }

    fn head(&mut self) -> bool {
        while self.unread.starts_with(b"\r\n") {
            self.unread.drain(..2);
        }
        let Some(head) = self.up_to(b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let words: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, version] = words[..] else {
            self.body = Body::Endless;
            return false;
        };
        if !version.starts_with("HTTP/1.") {
            self.body = Body::Endless;
            return false;
        }
        self.waiting.push_back(Request { method: method.into(), target: target.into() });
        let mut length = Body::Over;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match (&*name.to_ascii_lowercase(), value.trim()) {
                ("transfer-encoding", "chunked") => length = Body::Chunks,
                ("transfer-encoding", _) => length = Body::Endless,
                ("content-length", value) if !matches!(length, Body::Chunks) => {
                    length = value.parse().map_or(Body::Endless, Body::Left);
                }
                _ => {}
            }
        }
        self.body = length;
        true
    }

    fn up_to(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let at = self.unread.windows(mark.len()).position(|part| part == mark)?;
        Some(self.unread.drain(..at + mark.len()).collect())
    }
}

#[test]
fn requests_are_found_however_they_are_cut() {
    let bytes = b"POST /a HTTP/1.1\r\ncontent-length: 4\r\n\r\nGET \r\n\
        PUT /b?c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        GET /d HTTP/1.1\r\n\r\nGET /unfinished";
    for size in [1, 3, 1000] {
        let mut asked = Asked::default();
        bytes.chunks(size).for_each(|bytes| asked.sent(bytes));
        let found: Vec<_> = std::iter::from_fn(|| asked.answered()).map(|one| one.target).collect();
        assert_eq!(found, ["/a", "/b?c", "/d"]);
    }
}
