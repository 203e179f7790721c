//! A bounded list that forgets its oldest items; its items always lie side by side. Never allocates once it is warm.

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

/// At most `max` items in the order they came.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    items: Vec<T>,
    /// Items before this one are forgotten and wait for the next tidying.
    start: usize,
    max: usize,
}

impl<T> Ring<T> {
    /// An empty ring of at most `max` items (at least one).
    pub fn new(max: usize) -> Self {
        Self { items: Vec::new(), start: 0, max: max.max(1) }
    }

    /// The items, oldest first.
    pub fn as_slice(&self) -> &[T] {
        self.items.get(self.start..).unwrap_or_default()
    }

    /// The newest item.
    pub fn last(&self) -> Option<&T> {
        self.as_slice().last()
    }

    /// The newest item, to be changed.
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.items.get_mut(self.start..).and_then(<[T]>::last_mut)
    }

    /// Forgets the oldest `count` items.
    pub fn forget(&mut self, count: usize) {
        self.start = (self.start + count).min(self.items.len());
    }

    /// Puts an item behind the `kept`-th from the end, 0 for the very end; `true` if the oldest had to go for it.
    pub fn insert_back(&mut self, kept: usize, item: T) -> bool {
        let full = self.as_slice().len() >= self.max;
        if full {
            self.forget(1);
        }
        // Half of the room is forgotten items: tidying costs as much as was pushed since.
        if self.items.len() == self.items.capacity() && self.start * 2 >= self.items.len() {
            self.items.drain(..self.start);
            self.start = 0;
        }
        let place = self.items.len().saturating_sub(kept).max(self.start);
        self.items.insert(place, item);
        full
    }
}

impl<T: PartialEq> PartialEq for Ring<T> {
    fn eq(&self, other: &Self) -> bool {
        self.max == other.max && self.as_slice() == other.as_slice()
    }
}

impl<C, T: Encode<C>> Encode<C> for Ring<T> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.u64(self.max as u64)?;
        self.as_slice().encode(e, c)
    }
}

impl<'b, C, T: Decode<'b, C>> Decode<'b, C> for Ring<T> {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, DecodeError> {
        if d.array()? != Some(2) {
            return Err(DecodeError::message("a ring has two fields"));
        }
        let max = usize::try_from(d.u64()?).map_err(DecodeError::custom)?.max(1);
        let items = Vec::<T>::decode(d, c)?;
        if items.len() > max {
            return Err(DecodeError::message("a ring holds more than its bound"));
        }
        Ok(Self { items, start: 0, max })
    }
}
