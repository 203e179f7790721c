//! Kraken's book checksum: CRC32 over the digits of the ten best levels of each side; it never sees a float.

use schemas::BookSide;

use crate::book::Book;

/// Levels of a side that are summed.
const LEVELS: usize = 10;
/// Digits of the largest `i64`.
const DIGITS: usize = 19;

/// CRC32 over asks from the lowest and then bids from the highest, each price and quantity as its digits at the pair's
/// precision without point and leading zeros. Both protocol versions define it this way.
pub fn checksum(book: &Book) -> u32 {
    let mut text = [0; 4 * LEVELS * DIGITS];
    let mut end = 0;
    for side in [BookSide::Ask, BookSide::Bid] {
        for level in book.best_first(side).take(LEVELS) {
            for value in [level.price, level.qty] {
                end += write(value.unsigned_abs(), &mut text[end..]);
            }
        }
    }
    crc32fast::hash(&text[..end])
}

/// Writes the digits of `value` at the start of `text` and returns how many there are.
fn write(mut value: u64, text: &mut [u8]) -> usize {
    let mut digits = [0; DIGITS + 1];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    let digits = &digits[from..];
    text[..digits.len()].copy_from_slice(digits);
    digits.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_ten_levels_of_each_side_and_no_more() {
        let mut book = Book::default();
        for at in 0..12 {
            book.set(BookSide::Ask, 100 + at, 7 + at);
            book.set(BookSide::Bid, 99 - at, 5);
        }
        let mut text = String::new();
        for at in 0..10 {
            text.extend([(100 + at).to_string(), (7 + at).to_string()]);
        }
        for at in 0..10 {
            text.extend([(99 - at).to_string(), "5".to_owned()]);
        }
        assert_eq!(checksum(&book), crc32fast::hash(text.as_bytes()));
    }

    #[test]
    fn the_widest_book_fits() {
        let mut book = Book::default();
        for at in 0..10 {
            book.set(BookSide::Ask, i64::MAX - at, i64::MAX);
            book.set(BookSide::Bid, i64::MAX - 20 - at, i64::MAX);
        }
        assert_ne!(checksum(&book), 0);
    }
}
