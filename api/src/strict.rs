//! JSON of strangers: bounded depth, no key twice, nothing left over; it never guesses what was meant.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::ApiError;

/// Parses one JSON document into a type that denies unknown fields.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], max_depth: u32) -> Result<T, ApiError> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let scan = Scan { left: max_depth, fault: &fault };
    if let Err(error) = scan.deserialize(&mut reader).and_then(|()| reader.end()) {
        return Err(match fault.get() {
            Some(Fault::Deep) => ApiError::JsonTooDeep(max_depth),
            Some(Fault::Twice) => ApiError::JsonDuplicateKey,
            None => ApiError::JsonMalformed(error.to_string()),
        });
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::ValidationFailed(error.to_string()))
}

#[derive(Clone, Copy)]
enum Fault {
    Deep,
    Twice,
}

/// Walks a document and keeps nothing of it.
#[derive(Clone, Copy)]
struct Scan<'a> {
    left: u32,
    fault: &'a Cell<Option<Fault>>,
}

impl Scan<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.fail(Fault::Deep)),
        }
    }

    fn fail<E: serde::de::Error>(self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let deeper = self.deeper::<A::Error>()?;
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(self.fail(Fault::Twice));
            }
            entries.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code() {
        let check = |text: &str, want: &str| {
            let got = parse::<Vec<Option<u8>>>(text.as_bytes(), 2);
            assert_eq!(got.as_ref().map_or_else(ApiError::code, |_| "ok"), want, "{text}");
        };
        check("[1,null]", "ok");
        check("[1", "json_malformed");
        check("[1] 2", "json_malformed");
        check("", "json_malformed");
        check("[NaN]", "json_malformed");
        check("\u{feff}[1]", "json_malformed");
        check("[[[1]]]", "json_too_deep");
        check(&"[".repeat(100_000), "json_too_deep");
        check(r#"[{"a":1,"b":2,"a":1}]"#, "json_duplicate_key");
        check(r#"[{"a":1,"\u0061":1}]"#, "json_duplicate_key");
        check("[256]", "validation_failed");
        check("{}", "validation_failed");
    }
}
