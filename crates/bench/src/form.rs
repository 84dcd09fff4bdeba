//! Form bodies (`application/x-www-form-urlencoded`), as Stripe's API takes them.

use std::borrow::Cow;

/// The names and values of a form, decoded, in their order.
pub(crate) fn pairs(body: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            (
                decode(halves.next().unwrap_or_default()),
                decode(halves.next().unwrap_or_default()),
            )
        })
}

/// Decodes one name or value; an escape that is none stays as it is.
fn decode(text: &[u8]) -> Cow<'_, str> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return String::from_utf8_lossy(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                (Some(_) | None, _) => b'%',
            },
            (other, _) => *other,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_name_by_name() {
        let form = b"amount=1099&metadata%5Border%5D=A-17+%26+B&expand[]=latest_charge&empty=&odd=100%&caf%C3%A9=1";
        let read: Vec<_> = pairs(form).map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            read,
            [
                "amount=1099",
                "metadata[order]=A-17 & B",
                "expand[]=latest_charge",
                "empty=",
                "odd=100%",
                "café=1"
            ]
        );
        assert_eq!(pairs(b"").count(), 0);
    }
}
