//! Bytes that are no ONNX file, or that two protobuf readers may read differently; it never needs an engine.

use forecaster::Check;

use super::onnx::{File, Msg, tensor};
use super::{Hostile, file, refused};

/// The sound model's bytes.
fn sound() -> Vec<u8> {
    file(|_| ())
}

/// A varint of five bytes whose value is `number` in its low 32 bits and more above: some readers cut it.
fn long_key(number: u64) -> Vec<u8> {
    let key = number << 3 | 2 | 1 << 32;
    (0..5).map(|i| (key >> (7 * i)) as u8 & 0x7f | if i < 4 { 0x80 } else { 0 }).collect()
}

/// The external data of the weights behind a key that a careless reader takes for another field.
fn hidden_external() -> Vec<u8> {
    let entry = Msg::default().text(1, "location").text(2, "/etc/passwd");
    file(|f| {
        let mut t = tensor("w", &[10, 1], &[1.0; 10]);
        t.0.extend(long_key(13));
        t.0.push(entry.0.len() as u8);
        t.0.extend(&entry.0);
        f.initializers[0] = t;
    })
}

pub(super) fn all() -> Vec<Hostile> {
    let p = Check::Protobuf;
    let second = Msg::default().msg(7, &File::linear([1.0; 10]).graph());
    let merged =
        Msg::default().text(1, "value").msg(5, &tensor("a", &[1], &[0.0])).msg(5, &tensor("a", &[1], &[0.0]));
    let cut = sound().len() / 2;
    vec![
        refused("empty", Check::Size, vec![]),
        refused("text", p, b"this is not a model".to_vec()),
        refused("zeros", p, vec![0; 64]),
        refused("truncated", p, sound()[..cut].to_vec()),
        refused(
            "random_bytes",
            p,
            (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        ),
        refused("endless_number", p, vec![0xff; 32]),
        refused("group_wire_type", p, vec![0x0b, 0x0c]),
        refused("length_past_the_end", p, vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        refused("no_graph", p, Msg::default().int(1, 8).0),
        refused("two_graphs", p, file(|f| f.model_extra = second)),
        refused("ort_format", p, [&[0, 0, 0, 0][..], b"ORTM", &[0; 32]].concat()),
        refused("key_longer_than_32_bits", p, hidden_external()),
        refused("merged_messages", p, file(|f| f.nodes[0] = f.nodes[0].clone().msg(5, &merged))),
        refused("name_not_utf8", p, file(|f| f.nodes[0] = f.nodes[0].clone().bytes(1, b"\xff\xfe"))),
        refused("zip_bomb_header", p, [b"PK\x03\x04".as_slice(), &[0xff; 128]].concat()),
    ]
}
