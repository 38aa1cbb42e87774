//! Requests, by route, method and status: a table with a cell for each, laid out at the start.

use super::cells::{Counter, DURATIONS, Histogram, Observed};
use octostore_actors::time::{Clock, Instant};

/// The methods that are told apart; all others are [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// Whatever else a caller may think of.
    Other,
}

impl Method {
    /// All of them, in their order.
    const ALL: [Self; 6] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete, Self::Other];

    /// The one that is called so.
    pub fn named(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

/// The statuses that are told apart, with their labels; the last stands for all others.
const STATUSES: [(u16, &str); 25] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (302, "302"),
    (303, "303"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (414, "414"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (0, "other"),
];

/// Which place in [`STATUSES`] each status from 100 to 599 has.
const PLACES: [u8; 500] = {
    let mut places = [STATUSES.len() as u8 - 1; 500];
    let mut at = 0;
    while at < STATUSES.len() - 1 {
        places[STATUSES[at].0 as usize - 100] = at as u8;
        at += 1;
    }
    places
};

/// How many requests there were, and how long they took.
#[derive(Debug)]
pub struct Requests {
    routes: &'static [&'static str],
    /// By route, method and status.
    answered: Box<[Counter]>,
    /// By route and method.
    took: Box<[Histogram]>,
    /// Those whose client went away before there was an answer.
    abandoned: Counter,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The template of the path.
    pub route: &'static str,
    /// The method.
    pub method: &'static str,
}

impl Requests {
    /// None has come yet, to any of these routes.
    pub fn new(routes: &'static [&'static str]) -> Self {
        let lines = routes.len() * Method::ALL.len();
        Self {
            routes,
            answered: (0..lines * STATUSES.len()).map(|_| Counter::default()).collect(),
            took: (0..lines).map(|_| Histogram::new(DURATIONS)).collect(),
            abandoned: Counter::default(),
        }
    }

    /// A request has come to the route that stands in this place of the list.
    pub fn begin<'a, C: Clock>(
        &'a self,
        clock: &'a C,
        route: usize,
        method: Method,
    ) -> Begun<'a, C> {
        let line = Some(route * Method::ALL.len() + method as usize);
        Begun { requests: self, clock, line, at: clock.now() }
    }

    /// An answer was given without looking at the time: there was no request that could be read.
    pub fn answered_unread(&self, route: usize, status: u16) {
        self.count(route * Method::ALL.len() + Method::Other as usize, status);
    }

    /// How many were answered with each status, where there were any.
    pub fn answered(&self) -> impl Iterator<Item = (Line, &'static str, u64)> {
        let cells = self.answered.iter().enumerate();
        cells.filter(|(_, cell)| cell.get() > 0).map(|(at, cell)| {
            let (line, status) = (at / STATUSES.len(), at % STATUSES.len());
            (self.line(line), STATUSES[status].1, cell.get())
        })
    }

    /// How long they took, in seconds, where there were any.
    pub fn took(&self) -> impl Iterator<Item = (Line, Observed)> {
        let observed = self.took.iter().map(|took| took.read(1e9)).enumerate();
        observed.filter(|(_, took)| took.count > 0).map(|(at, took)| (self.line(at), took))
    }

    /// How many clients went away before there was an answer.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.get()
    }

    fn line(&self, at: usize) -> Line {
        let (route, method) = (at / Method::ALL.len(), at % Method::ALL.len());
        Line { route: self.routes[route], method: Method::ALL[method].as_str() }
    }

    fn count(&self, line: usize, status: u16) {
        let other = STATUSES.len() - 1;
        let place = usize::from(status).checked_sub(100).and_then(|at| PLACES.get(at));
        let place = place.map_or(other, |&place| place.into());
        self.answered[line * STATUSES.len() + place].add_one();
    }
}

/// A request that is being answered. One that is dropped before was abandoned.
#[must_use = "a request that is dropped counts as abandoned"]
pub struct Begun<'a, C: Clock> {
    requests: &'a Requests,
    clock: &'a C,
    /// Its line in the table, until it is answered.
    line: Option<usize>,
    at: Instant,
}

impl<C: Clock> Begun<'_, C> {
    /// It is answered with this status.
    pub fn answered(mut self, status: u16) {
        let Some(line) = self.line.take() else { return };
        self.requests.count(line, status);
        self.requests.took[line].observe_span(self.clock.now().since(self.at));
    }
}

impl<C: Clock> Drop for Begun<'_, C> {
    fn drop(&mut self) {
        if self.line.is_some() {
            self.requests.abandoned.add_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_request_is_counted_in_its_own_cell_with_the_time_it_took() {
        let (requests, clock) = (Requests::new(&["/a", "/b"]), Hand::default());
        let begun = requests.begin(&clock, 1, Method::Delete);
        clock.0.store(3_000_000, Ordering::Relaxed);
        begun.answered(404);
        let line = Line { route: "/b", method: "DELETE" };
        assert_eq!(requests.answered().collect::<Vec<_>>(), [(line, "404", 1)]);
        let (of, took) = requests.took().next().unwrap();
        assert_eq!((of, took.count, took.sum), (line, 1, 0.003));
        assert_eq!(requests.abandoned(), 0);
    }

    #[test]
    fn every_status_and_method_has_a_cell() {
        let (requests, clock) = (Requests::new(&["/a"]), Hand::default());
        for status in (0..=u16::MAX).step_by(7).chain(100..600) {
            requests.begin(&clock, 0, Method::named("BREW")).answered(status);
        }
        assert_eq!(requests.answered().count(), STATUSES.len());
        assert!(requests.answered().all(|(line, _, _)| line.method == "other"));
        for (name, method) in ["GET", "HEAD", "POST", "PUT", "DELETE"].iter().zip(Method::ALL) {
            assert_eq!((Method::named(name), method.as_str()), (method, *name));
        }
    }

    #[test]
    fn who_goes_away_before_the_answer_is_counted_apart() {
        let (requests, clock) = (Requests::new(&["/a"]), Hand::default());
        drop(requests.begin(&clock, 0, Method::Get));
        assert_eq!((requests.abandoned(), requests.answered().count()), (1, 0));
    }
}
