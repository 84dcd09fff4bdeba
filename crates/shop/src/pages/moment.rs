//! Times and ids as pages show them: short for the eye, whole for whoever needs it.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time: short in the text, exact in its title.
pub(super) struct Moment {
    at: Timestamp,
    text: String,
}

impl Moment {
    /// How long after `start`: what somebody who follows an order wants to know.
    pub(super) fn after(start: Timestamp, at: Timestamp) -> Self {
        let ms = (at.as_millisecond() - start.as_millisecond()).max(0);
        let text = match ms {
            0..60_000 => format!("+{}.{:02} s", ms / 1000, ms % 1000 / 10),
            60_000..3_600_000 => format!("+{} min {} s", ms / 60_000, ms / 1000 % 60),
            3_600_000..86_400_000 => format!("+{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
            _ => format!("+{} d {} h", ms / 86_400_000, ms / 3_600_000 % 24),
        };
        Self { at, text }
    }

    /// Day and minute.
    pub(super) fn day(at: Timestamp) -> Self {
        Self {
            at,
            text: at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string(),
        }
    }

    fn exact(&self) -> String {
        self.at
            .to_zoned(TimeZone::UTC)
            .strftime("%Y-%m-%d %H:%M:%S%.3f UTC")
            .to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<span class="when" title="{}">{}</span>"#, self.exact(), self.text)
    }
}

impl HtmlSafe for Moment {}

/// A name of Florin's: its middle is folded away for the eye, but not for whoever copies or hears it.
pub(super) struct Id(pub(super) String);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Anything else is no id, and must not become markup.
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let id: String = self.0.chars().filter(plain).collect();
        if id.len() <= SHORT_ID {
            return write!(f, r#"<code class="id">{id}</code>"#);
        }
        let (head, rest) = id.split_at(ID_HEAD);
        let (middle, tail) = rest.split_at(rest.len() - ID_TAIL);
        write!(
            f,
            r#"<code class="id">{head}<span class="mid">{middle}</span>{tail}</code>"#
        )
    }
}

impl HtmlSafe for Id {}

/// Shorter ids are shown whole; longer ones with this much of both ends.
const SHORT_ID: usize = 20;
const ID_HEAD: usize = 8;
const ID_TAIL: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn a_moment_is_short_in_the_text_and_exact_in_its_title() {
        let table = [
            (0, "+0.00 s"),
            (1_239, "+1.23 s"),
            (59_999, "+59.99 s"),
            (60_000, "+1 min 0 s"),
            (3_600_000, "+1 h 0 min"),
            (90_000_000, "+1 d 1 h"),
            (-5, "+0.00 s"),
        ];
        for (ms, text) in table {
            assert_eq!(Moment::after(at(0), at(ms)).text, text);
        }
        let html = Moment::after(at(0), at(1_239)).to_string();
        assert!(html.contains(r#"title="1970-01-01 00:00:01.239 UTC""#), "{html}");
    }

    #[test]
    fn an_id_is_folded_for_the_eye_and_whole_for_the_clipboard() {
        let id = Id("evt_0123456789abcdefghjkmnpqrs0003a".into()).to_string();
        let plain = id
            .replace(r#"<code class="id">"#, "")
            .replace(r#"<span class="mid">"#, "");
        let plain = plain.replace("</span>", "").replace("</code>", "");
        assert_eq!(plain, "evt_0123456789abcdefghjkmnpqrs0003a");
        assert_eq!(Id("pi_1".into()).to_string(), r#"<code class="id">pi_1</code>"#);
        assert_eq!(Id("<b>é".into()).to_string(), r#"<code class="id">b</code>"#);
    }
}
