//! Unpacks gzip and zstd by their first bytes; anything else is taken as it is.

use std::io::Read as _;

use super::ImportError;

/// The bytes within. Several packed members in a row are one file, as the tools have it.
pub fn unpack(file: &str, data: Vec<u8>) -> Result<Vec<u8>, ImportError> {
    let bad = |error: std::io::Error| ImportError::BadPack { file: file.to_owned(), text: error.to_string() };
    let mut out = Vec::new();
    match data.get(..4) {
        Some([0x1f, 0x8b, ..]) => {
            flate2::read::MultiGzDecoder::new(&data[..]).read_to_end(&mut out).map_err(bad)?;
            Ok(out)
        }
        Some([0x28, 0xb5, 0x2f, 0xfd]) => {
            let mut decoder = zstd::stream::read::Decoder::new(&data[..]).map_err(bad)?;
            decoder.read_to_end(&mut out).map_err(bad)?;
            Ok(out)
        }
        _ => Ok(data),
    }
}
