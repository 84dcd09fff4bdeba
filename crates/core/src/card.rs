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

/// Whether there is a card number anywhere in `text`: [`is_number`] of what stands between two words, or of digits in a row. Nobody repeats
/// such a text.
pub fn holds_number(text: &str) -> bool {
    let between_words = text.split(char::is_alphabetic);
    let in_a_row = text.split(|letter: char| !letter.is_ascii_digit());
    between_words.chain(in_a_row).any(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_wherever_it_stands() {
        let ones = "1".repeat(4);
        let spaced = format!("4{} {ones} {ones} {ones}", &ones[1..]);
        let plain = spaced.replace(' ', "");
        for number in [&spaced, &plain] {
            for text in [
                number.clone(),
                format!("tok_{number}"),
                format!("pm_card_{number}x"),
                format!("card {number} of Ada"),
                format!("a[{number}]"),
            ] {
                assert!(holds_number(&text), "{text}");
            }
        }
        assert!(holds_number(&format!("7 {plain} 2026-11-21")));
        for text in [
            "",
            "pm_card_visa",
            "2026-11-21",
            "tok_1Nv0FGQ9RKHgCVdK",
            "A-17",
            "+49 30 1234567",
        ] {
            assert!(!holds_number(text), "{text}");
        }
    }

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
