//! Lists: sorted by name, a prefix, a page at a time. Every domain lists this way.

use std::{borrow::Borrow, collections::BTreeMap, ops::Bound};

/// Which names of a list are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only names that begin with this.
    pub prefix: Box<str>,
    /// Only names after this one.
    pub after: Option<Box<str>>,
    /// At most this many.
    pub limit: PageLimit,
}

impl Default for Selection {
    fn default() -> Self {
        Self { prefix: "".into(), after: None, limit: PageLimit::MAX }
    }
}

/// How many names one page may hold: 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u16);

impl Default for PageLimit {
    fn default() -> Self {
        Self::MAX
    }
}

impl PageLimit {
    /// The largest page, and the default.
    pub const MAX: Self = Self(1_000);

    /// `None` when out of bounds.
    pub const fn new(limit: u16) -> Option<Self> {
        if limit >= 1 && limit <= Self::MAX.0 { Some(Self(limit)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order of their names.
    pub items: Vec<T>,
    /// How many there are with this prefix, on all pages together.
    pub total: usize,
    /// Whether more follow the last of `items`.
    pub more: bool,
}

impl<T> Page<T> {
    /// The last item, if more follow it: the next page begins after that.
    pub fn last_if_more(&self) -> Option<&T> {
        self.items.last().filter(|_| self.more)
    }

    /// The same page of what `keep` makes of the items, without those it makes nothing of.
    pub fn filter_map<U>(self, keep: impl FnMut(T) -> Option<U>) -> Page<U> {
        let items = self.items.into_iter().filter_map(keep).collect();
        Page { items, total: self.total, more: self.more }
    }

    /// The same page of what `make` makes of the items.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Page<U> {
        self.filter_map(|item| Some(make(item)))
    }
}

impl Selection {
    /// Selects from `entries`. Takes time in proportion to the names with the prefix.
    pub fn of<'a, N: Borrow<str> + Ord, V>(
        &self,
        entries: Option<&'a BTreeMap<N, V>>,
    ) -> Page<(&'a N, &'a V)> {
        let from_prefix = (Bound::Included(&*self.prefix), Bound::Unbounded);
        let has_prefix = |name: &N| Borrow::<str>::borrow(name).starts_with(&*self.prefix);
        let matching = entries
            .into_iter()
            .flat_map(|entries| entries.range::<str, _>(from_prefix))
            .take_while(|(name, _)| has_prefix(name));
        let mut page = Page { items: Vec::new(), total: 0, more: false };
        for (name, value) in matching {
            page.total += 1;
            if self.after.as_deref().is_some_and(|after| Borrow::<str>::borrow(name) <= after) {
                continue;
            }
            if page.items.len() < usize::from(self.limit.0) {
                page.items.push((name, value));
            } else {
                page.more = true;
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(prefix: &str, after: Option<&str>, limit: u16) -> (Vec<&'static str>, usize, bool) {
        let names = BTreeMap::from(["a", "ab", "abc", "b", "ba"].map(|name| (name, ())));
        let selection = Selection {
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit: PageLimit::new(limit).unwrap(),
        };
        let page = selection.of(Some(&names)).map(|(name, ())| *name);
        (page.items, page.total, page.more)
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        assert_eq!(select("", None, 1000), (vec!["a", "ab", "abc", "b", "ba"], 5, false));
        assert_eq!(select("", None, 2), (vec!["a", "ab"], 5, true));
        assert_eq!(select("", Some("ab"), 2), (vec!["abc", "b"], 5, true));
        assert_eq!(select("", Some("b"), 2), (vec!["ba"], 5, false));
        assert_eq!(select("ab", None, 1), (vec!["ab"], 2, true));
        assert_eq!(select("ab", Some("ab"), 1), (vec!["abc"], 2, false));
        assert_eq!(select("zz", None, 1), (vec![], 0, false));
        assert_eq!(select("b", Some("a"), 5), (vec!["b", "ba"], 2, false));
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(PageLimit::new(0), None);
        assert_eq!(PageLimit::new(1001), None);
        assert_eq!(PageLimit::new(1000), Some(PageLimit::MAX));
        assert_eq!(PageLimit::MAX.get(), 1000);
    }
}
