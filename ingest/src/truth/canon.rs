//! Canonical JSON, the form of a lifecycle row's `detail`: keys sorted, no spaces, every number by its own digits; it
//! never passes a number through a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 32;

/// A JSON text in canonical form; `without` names members of the outermost object that are left out. `None` for what is
/// no JSON or is nested deeper than 32 levels.
pub fn canonical(text: &[u8], without: &[&str]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    put(serde_json::from_slice(text).ok()?, without, MAX_DEPTH, &mut out)?;
    Some(out)
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn put(raw: &RawValue, without: &[&str], depth: usize, out: &mut String) -> Option<()> {
    let text = raw.get();
    let depth = depth.checked_sub(1)?;
    match text.as_bytes().first()? {
        b'{' => {
            let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            members.retain(|key, _| !without.contains(&key.as_str()));
            let mut lead = '{';
            for (key, value) in &members {
                out.push(lead);
                lead = ',';
                out.push_str(&quoted(key));
                out.push(':');
                put(value, &[], depth, out)?;
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let mut lead = '[';
            for item in &items {
                out.push(lead);
                lead = ',';
                put(item, &[], depth, out)?;
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        b'"' => out.push_str(&quoted(&serde_json::from_str::<String>(text).ok()?)),
        _ => out.push_str(text),
    }
    Some(())
}

/// Members of an object, put together one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    /// A member whose value is canonical JSON already.
    pub fn json(&mut self, key: &'static str, value: impl Into<String>) {
        self.0.insert(key, value.into());
    }

    /// A text, where there is one that is not empty.
    pub fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(text) = value.filter(|text| !text.is_empty()) {
            self.0.insert(key, quoted(text));
        }
    }

    /// A number or a truth value, where there is one.
    pub fn plain(&mut self, key: &'static str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.0.insert(key, value.to_string());
        }
    }

    /// The object.
    pub fn finish(self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level_and_digits_stay() {
        let text = br#" { "b" : [ 1.50 , {"z":0.00001234,"a":63304.200301195075} , [] ] , "a":"\u0041\n", "c":{}, "gone":1 } "#;
        let want = r#"{"a":"A\n","b":[1.50,{"a":63304.200301195075,"z":0.00001234},[]],"c":{}}"#;
        assert_eq!(canonical(text, &["gone"]).as_deref(), Some(want));
        assert_eq!(canonical(want.as_bytes(), &[]).as_deref(), Some(want));
        assert_eq!(canonical(br#"{"a":}"#, &[]), None);
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert_eq!(canonical(deep.as_bytes(), &[]), None);
    }

    #[test]
    fn fields_that_are_absent_are_left_out() {
        let mut fields = Fields::default();
        fields.text("t", Some("a\"b"));
        fields.text("empty", Some(""));
        fields.plain("n", Some(7));
        fields.plain("none", None::<u8>);
        fields.json("l", "[1]");
        assert_eq!(fields.finish(), r#"{"l":[1],"n":7,"t":"a\"b"}"#);
        assert_eq!(Fields::default().finish(), "{}");
    }
}
