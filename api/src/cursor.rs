//! The opaque cursor of a history; it says where to read on, never what may be read.

use schemas::TopicId;

use crate::error::ApiError;

/// Version of the form.
const VERSION: u8 = 1;
/// Length in bytes: version, epoch, position, check.
const LENGTH: usize = 1 + 8 + 8 + 4;

/// The cursor that reads on before `before`.
pub(crate) fn encode(epoch: &str, topic: &TopicId, before: u64) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(epoch_bytes(epoch));
    bytes.extend(before.to_be_bytes());
    let check = check(&bytes, topic);
    bytes.extend(check);
    hex::encode(bytes)
}

/// The position in a cursor of this topic and history.
pub(crate) fn decode(text: &str, epoch: &str, topic: &TopicId) -> Result<u64, ApiError> {
    let mut bytes = [0; LENGTH];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ApiError::CursorInvalid)?;
    let (body, sum) = bytes.split_at(LENGTH - 4);
    if body[0] != VERSION || sum != check(body, topic) {
        return Err(ApiError::CursorInvalid);
    }
    if body[1..9] != epoch_bytes(epoch) {
        return Err(ApiError::CursorExpired);
    }
    let position: [u8; 8] = body[9..17].try_into().map_err(|_| ApiError::CursorInvalid)?;
    Ok(u64::from_be_bytes(position))
}

fn epoch_bytes(epoch: &str) -> [u8; 8] {
    let mut out = [0; 8];
    // An empty view has no epoch yet; eight zero bytes stand for it.
    let _ = hex::decode_to_slice(epoch, &mut out);
    out
}

fn check(body: &[u8], topic: &TopicId) -> [u8; 4] {
    let hash = schemas::id::derive("oraculo/cursor/1", &[body, topic.0.as_bytes()]);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_one_topic_and_history() {
        let a = TopicId("a".into());
        let epoch = "00112233445566aa";
        let text = encode(epoch, &a, 77);
        assert_eq!(decode(&text, epoch, &a).unwrap(), 77);
        assert_eq!(decode(&text, "ff112233445566aa", &a).unwrap_err().code(), "cursor_expired");
        assert_eq!(decode(&text, epoch, &TopicId("b".into())).unwrap_err().code(), "cursor_invalid");
        for bad in ["", "zz", &text[2..], &text.replace("4d", "4e"), &format!("{text}00")] {
            assert_eq!(decode(bad, epoch, &a).unwrap_err().code(), "cursor_invalid", "{bad}");
        }
    }
}
