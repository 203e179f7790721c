//! Recordings of any text: the grammars of their lines, packed or not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::import::{Recording, unpack};
    if let Ok(plain) = unpack("fuzz", data.to_vec()) {
        let _ = Recording::read("fuzz", plain);
    }
});
