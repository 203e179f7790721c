//! What a message that cannot be used still names, so that the books it may have changed are lost and no others.

use super::Result;
use crate::scan::{Scan, ScanError};

/// Calls `f` with every string value of a JSON value, as far as it can be read.
pub fn strings(scan: &mut Scan<'_>, depth: u32, f: &mut impl FnMut(&[u8])) -> Result<()> {
    if depth == 0 {
        return Ok(scan.skip()?);
    }
    if scan.starts(b'"') {
        f(scan.text()?.as_bytes());
    } else if scan.starts(b'{') {
        scan.object()?;
        while scan.key()?.is_some() {
            strings(scan, depth - 1, f)?;
        }
    } else if scan.starts(b'[') {
        scan.array()?;
        while scan.item()? {
            strings(scan, depth - 1, f)?;
        }
    } else {
        scan.skip()?;
    }
    Ok(())
}

/// Whether a message, unreadable as it is, says to be of a type that changes no book.
pub fn harmless(message: &[u8]) -> bool {
    let mut scan = Scan::new(message);
    let mut kind: &[u8] = b"";
    let mut look = || -> std::result::Result<(), ScanError> {
        scan.object()?;
        while let Some(key) = scan.key()? {
            if key == b"event_type" && scan.starts(b'"') {
                kind = scan.plain()?;
            } else {
                scan.skip()?;
            }
        }
        Ok(())
    };
    look().is_ok()
        && matches!(kind, b"last_trade_price" | b"best_bid_ask" | b"new_market" | b"market_resolved")
}
