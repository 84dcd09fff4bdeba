//! What looks like a card number, so that no door takes one where a name or a token belongs.

/// Shortest and longest card number (ISO/IEC 7812).
const DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// Whether `text` is a card number as people write one: 12 to 19 digits whose last one checks (Luhn), with spaces or signs between; also
/// behind letters that make it look like a name, as in `card_` and the number.
pub fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if text.contains(|letter: char| letter.is_alphabetic()) {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at.is_multiple_of(2), digit * 2) {
            (true, _) => *digit,
            (false, double) => double / 10 + double % 10,
        })
        .sum();
    DIGITS.contains(&digits.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_however_it_is_written_and_a_name_is_none() {
        // A test number that a network publishes: a four and fifteen ones.
        let ones = "1".repeat(4);
        let first = format!("4{}", &ones[1..]);
        let visa = [&first, &ones, &ones, &ones].map(String::as_str);
        for between in ["", " ", "-", "_", "."] {
            let number = visa.join(between);
            assert!(
                is_number(&number) && is_number(&format!("card_{number}")),
                "{between:?}"
            );
        }
        let [first, second, third, _] = visa;
        assert!(!is_number(&[first, second, third, "1112"].concat()));
        for text in ["", "0", "card_visa", "2026-11-21", "tok_1Nv0FGQ9RKHgCVdK"] {
            assert!(!is_number(text), "{text}");
        }
    }
}
