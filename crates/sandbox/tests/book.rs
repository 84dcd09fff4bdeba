//! The book on a real disk: what a crash leaves, what damage looks like, what is read back.

mod common;

use common::Dir;
use florin_sandbox::book::{Book, OpenError};
use florin_sandbox::cards;
use florin_sandbox::entry::{Authentication, Currency, Entry, Key};
use florin_sandbox::issuer::Issuer;
use florin_sandbox::message::{Authorize, Operate, Step};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// Opens the book and says what is in it.
fn read(path: &Path) -> Result<(Book, Vec<Entry>), OpenError> {
    let mut entries = Vec::new();
    Book::open(path, |entry| entries.push(entry.clone())).map(|book| (book, entries))
}

/// A few payments: sales (two entries each), a hold with steps, a decline, a refusal, text that must be escaped.
fn story() -> Vec<Vec<Entry>> {
    let mut issuer = Issuer::new(1, SignedDuration::from_secs(2));
    let mut groups = Vec::new();
    let at: Timestamp = "2026-11-21T10:00:00.125Z".parse().expect("a time");
    let key = |text: &str| Key::parse(text).expect("a key");
    let sale = |name: &str, card: &str, capture| Authorize {
        key: key(name),
        card: cards::by_name(card).expect("a card"),
        amount: 1_099,
        currency: Currency::parse("EUR").expect("a currency"),
        capture,
        three_ds: Authentication::Passed,
        description: Some("tea \"Earl\u{2028}\n\\ é 茶".into()),
    };
    let asks = [
        sale("a", "card_visa", true),
        sale("b", "card_visa_chargeDeclined", true),
        sale("c", "card_amex", false),
    ];
    for ask in &asks {
        let entries = issuer.authorize(ask, at).expect("an answer");
        entries.iter().for_each(|entry| issuer.apply(entry));
        groups.push(entries);
    }
    let held = issuer.authorized(&key("c"), false).expect("there").id;
    for (name, step) in [
        (
            "d",
            Step::Capture {
                amount: 99,
                last: false,
            },
        ),
        (
            "e",
            Step::Capture {
                amount: 9_999,
                last: true,
            },
        ),
        ("f", Step::Refund { amount: 9 }),
        ("g", Step::Cancel),
    ] {
        let entry = issuer
            .operate(
                &Operate {
                    key: key(name),
                    authorization: held,
                    step,
                    reference: None,
                },
                at,
            )
            .expect("an answer");
        let entry = entry.expect("a new key");
        issuer.apply(&entry);
        groups.push(vec![entry]);
    }
    let entries = issuer.authorize(&sale("h", "card_visa", true), at).expect("an answer");
    groups.push(entries);
    groups
}

fn write(path: &Path, groups: &[Vec<Entry>]) {
    let (mut book, there) = read(path).expect("opens");
    assert!(there.is_empty());
    for group in groups {
        group.iter().for_each(|entry| book.stage(entry));
        book.flush().expect("written");
    }
}

#[test]
fn what_was_written_is_read_back_and_more_can_be_written_behind_it() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    let groups = story();
    for end in 0..=groups.len() {
        let (mut book, entries) = read(&path).expect("opens");
        assert_eq!(entries, groups[..end].concat());
        assert_eq!(book.entries(), entries.len() as u64);
        if let Some(group) = groups.get(end) {
            group.iter().for_each(|entry| book.stage(entry));
            book.flush().expect("written");
        }
    }
}

#[test]
fn a_crash_at_any_byte_of_a_write_loses_only_what_nobody_was_answered_for() {
    let dir = Dir::new();
    let whole = dir.join("issuer.book");
    let groups = story();
    write(&whole, &groups);
    let bytes = std::fs::read(&whole).expect("there");
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(ends.len(), groups.concat().len());
    let torn = dir.join("torn.book");
    // The whole first entry pair, and the last five lines: what lies between is the same again.
    for length in (0..=ends[1]).chain(ends[ends.len() - 6]..=bytes.len()) {
        std::fs::write(&torn, &bytes[..length]).expect("written");
        let lines = ends.iter().filter(|end| **end <= length).count();
        let kept: Vec<_> = whole_groups(&groups, lines).concat();
        let (mut book, entries) = read(&torn).unwrap_or_else(|error| panic!("torn at byte {length}: {error}"));
        assert_eq!(entries, kept, "torn at byte {length}");
        let good = kept.len().checked_sub(1).map_or(0, |last| ends[last]);
        assert_eq!(
            std::fs::metadata(&torn).expect("there").len(),
            good as u64,
            "torn at byte {length}"
        );
        // It goes on as if the torn request had never come.
        for group in &groups[whole_groups(&groups, lines).len()..] {
            group.iter().for_each(|entry| book.stage(entry));
        }
        book.flush().expect("written");
        drop(book);
        assert_eq!(std::fs::read(&torn).expect("there"), bytes, "torn at byte {length}");
    }
}

/// The groups that lie wholly within this many lines.
fn whole_groups(groups: &[Vec<Entry>], lines: usize) -> &[Vec<Entry>] {
    let mut seen = 0;
    let count = groups.iter().take_while(|group| {
        seen += group.len();
        seen <= lines
    });
    &groups[..count.count()]
}

#[test]
fn a_whole_line_that_does_not_verify_is_refused_left_alone_and_explained() {
    let dir = Dir::new();
    let whole = dir.join("issuer.book");
    write(&whole, &story());
    let text = std::fs::read_to_string(&whole).expect("there");
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: Option<&str>| {
        let mut lines = lines.clone();
        match line {
            Some(line) => lines[at] = line,
            None => drop(lines.remove(at)),
        }
        lines.join("\n") + "\n"
    };
    let richer = lines[3].replace("\"amount\":1099", "\"amount\":9");
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let damages = [
        ("a changed figure", 4, with(3, Some(&richer))),
        ("a lost line", 4, with(3, None)),
        ("two lines in the wrong order", 5, swapped.join("\n") + "\n"),
        ("a line twice", 5, with(4, Some(lines[3]))),
        ("no entry at all", 1, with(0, Some("{}"))),
        ("an empty line", 3, with(2, Some(""))),
        ("zeros after a power cut", 8, with(7, Some("\0\0\0\0"))),
        (
            "a changed last line",
            lines.len(),
            with(lines.len() - 1, Some(&lines[lines.len() - 1].replace("09", "08"))),
        ),
        ("a line without end", lines.len() + 1, text.clone() + &"x".repeat(9_000)),
    ];
    for (what, entry, damaged) in damages {
        let path = dir.join("damaged.book");
        std::fs::write(&path, &damaged).expect("written");
        let error = read(&path).err().unwrap_or_else(|| panic!("{what} went unseen"));
        let OpenError::Damaged { entry: at, offset, .. } = &error else {
            panic!("{what}: {error}")
        };
        assert_eq!(*at, entry as u64, "{what}");
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            damaged,
            "{what}: the evidence was changed"
        );
        let text = error.to_string();
        assert!(
            text.contains("nothing was changed") && text.contains(&format!("truncate -s {offset}")),
            "{text}"
        );
        // What the message says works.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("opens")
            .set_len(*offset)
            .expect("cut");
        let (_, entries) = read(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(entries.len() < entry, "{what}");
    }
}

#[test]
fn every_flipped_bit_in_the_middle_is_found() {
    let dir = Dir::new();
    let whole = dir.join("issuer.book");
    write(&whole, &story());
    let bytes = std::fs::read(&whole).expect("there");
    let path = dir.join("flipped.book");
    for at in 0..bytes.len() - 1 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).expect("written");
        assert!(
            matches!(read(&path), Err(OpenError::Damaged { .. })),
            "bit {} of byte {at}",
            at % 8
        );
    }
}

#[test]
fn a_book_has_one_writer() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    let (book, _) = read(&path).expect("opens");
    let second = read(&path).err().expect("it is in use");
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    drop(book);
    assert!(read(&path).is_ok());
}

#[test]
fn a_book_that_cannot_be_opened_says_which_and_why() {
    let dir = Dir::new();
    let error = read(&dir.join("nowhere/issuer.book"))
        .err()
        .expect("no such directory")
        .to_string();
    assert!(
        error.contains("nowhere/issuer.book") && error.contains("directory"),
        "{error}"
    );
}

#[test]
fn pages_are_the_lines_of_the_file() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    write(&path, &story());
    let text = std::fs::read_to_string(&path).expect("there");
    let lines: Vec<&str> = text.lines().collect();
    let (book, _) = read(&path).expect("opens");
    for after in 0..=lines.len() + 1 {
        for limit in 1..=lines.len() + 1 {
            let (page, more) = book.page(after as u64, limit).expect("read");
            let first = after.min(lines.len());
            let last = (after + limit).min(lines.len()).max(first);
            assert_eq!(String::from_utf8(page).expect("text"), lines[first..last].join(","));
            assert_eq!(more, last < lines.len());
        }
    }
    assert_eq!(book.page(u64::MAX, usize::MAX).expect("read"), (Vec::new(), false));
}
