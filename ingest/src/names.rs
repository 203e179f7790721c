//! Venue names as small numbers, in the order of their first use; lookups allocate nothing.

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use schemas::InstrumentNo;

/// An interner. The hash is fixed, the order is that of insertion: nothing random can leak out.
#[derive(Clone, Debug, Default)]
pub struct Names {
    map: IndexMap<Box<[u8]>, (), FixedState>,
    /// The name looked up last: neighbouring messages are often about one market.
    last: u32,
}

impl Names {
    /// The number of a name that is known.
    #[inline]
    pub fn find(&mut self, name: &[u8]) -> Option<InstrumentNo> {
        if self.map.get_index(self.last as usize).is_some_and(|(known, ())| **known == *name) {
            return Some(InstrumentNo(self.last));
        }
        let at = self.map.get_index_of(name)? as u32;
        self.last = at;
        Some(InstrumentNo(at))
    }

    /// The number of a name, new or known; `true` if it is new.
    pub fn intern(&mut self, name: &[u8]) -> (InstrumentNo, bool) {
        if let Some(no) = self.find(name) {
            return (no, false);
        }
        let (at, _) = self.map.insert_full(name.into(), ());
        self.last = at as u32;
        (InstrumentNo(at as u32), true)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The name of a number.
    pub fn name(&self, no: InstrumentNo) -> Option<&[u8]> {
        self.map.get_index(no.0 as usize).map(|(name, ())| &**name)
    }
}
