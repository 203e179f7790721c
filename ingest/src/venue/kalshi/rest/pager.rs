//! Pages behind a cursor, one after the other; it ends, whatever the venue sends.

use serde::Deserialize;

/// Most pages of one listing.
const MAX_PAGES: u32 = 100_000;

/// The cursor of an answer; an empty one ends the listing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// The cursor; must be there.
    #[serde(deserialize_with = "cursor")]
    pub cursor: String,
}

/// An empty cursor may be null; an absent one is an error.
fn cursor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Why a listing cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagerError {
    /// The venue gave the cursor it was asked with.
    #[error("the cursor repeats itself")]
    Loop,
    /// More pages than any listing has.
    #[error("more than {MAX_PAGES} pages")]
    TooMany,
}

impl PagerError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Loop => "cursor_loop",
            Self::TooMany => "too_many_pages",
        }
    }
}

/// Walks through a listing: ask for [`Pager::path`], give the answer's cursor to [`Pager::turn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    base: String,
    cursor: String,
    pages: u32,
    done: bool,
}

impl Pager {
    /// From the path and query of the first page.
    pub fn new(path: String) -> Self {
        Self { base: path, cursor: String::new(), pages: 0, done: false }
    }

    /// The request of the next page; `None` after the last.
    pub fn path(&self) -> Option<String> {
        if self.done {
            return None;
        }
        if self.cursor.is_empty() {
            return Some(self.base.clone());
        }
        let sign = if self.base.contains('?') { '&' } else { '?' };
        Some(format!("{}{sign}cursor={}", self.base, super::query::escaped(&self.cursor)))
    }

    /// Takes the cursor of the page that was asked for; `true` if there is another page.
    pub fn turn(&mut self, cursor: &str) -> Result<bool, PagerError> {
        self.pages += 1;
        let looped = !cursor.is_empty() && cursor == self.cursor;
        self.done = cursor.is_empty() || looped || self.pages >= MAX_PAGES;
        if looped {
            return Err(PagerError::Loop);
        }
        if self.pages >= MAX_PAGES && !cursor.is_empty() {
            return Err(PagerError::TooMany);
        }
        cursor.clone_into(&mut self.cursor);
        Ok(!self.done)
    }

    /// Pages read so far.
    pub fn pages(&self) -> u32 {
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_to_the_empty_cursor_and_no_further() {
        let mut pager = Pager::new("/markets?limit=1000".to_owned());
        assert_eq!(pager.path().as_deref(), Some("/markets?limit=1000"));
        assert_eq!(pager.turn("a+b/="), Ok(true));
        assert_eq!(pager.path().as_deref(), Some("/markets?limit=1000&cursor=a%2Bb%2F%3D"));
        assert_eq!(pager.turn(""), Ok(false));
        assert_eq!((pager.path(), pager.pages()), (None, 2));
        let mut stuck = Pager::new("/events".to_owned());
        assert_eq!(stuck.turn("x"), Ok(true));
        assert_eq!(stuck.path().as_deref(), Some("/events?cursor=x"));
        assert_eq!((stuck.turn("x"), stuck.path()), (Err(PagerError::Loop), None));
    }

    #[test]
    fn a_missing_cursor_is_no_last_page() {
        assert!(super::super::decode::<Page>(b"{}").is_err());
        assert_eq!(super::super::decode::<Page>(br#"{"cursor":null}"#).unwrap().cursor, "");
    }
}
