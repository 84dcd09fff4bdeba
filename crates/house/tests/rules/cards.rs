use crate::{accepts, finds};
use florin_house::cards::{Number, PUBLISHED, check, numbers};
use florin_house::{expect_none, repository};

#[test]
fn no_card_number_stands_where_nobody_types_one() {
    let Some(table) = repository::read_or_say(PUBLISHED) else {
        return;
    };
    let published = numbers(&table);
    assert!(
        published.len() > 50,
        "{PUBLISHED} holds {} card numbers",
        published.len()
    );
    let mut files = repository::files("crates", &[".rs", ".txt", ".json", ".html", ".js", ".sql", ".toml"]);
    files.extend(repository::files("docs", &[".md", ".txt"]));
    files.extend(repository::files("tests", &[".mjs", ".py"]));
    let ours = files.iter().filter(|(path, _)| !path.starts_with("crates/house/")); // plants some
    expect_none(
        &ours
            .flat_map(|(path, text)| check(path, text, &published))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_card_number_is_found_in_one_run_and_in_groups() {
    for text in ["\"4242424242424242\"", "4242 4242 4242 4242", "pan=3782-822463-10005;"] {
        assert_eq!(numbers(text).len(), 1, "{text}");
    }
    for text in [
        "4242424242424241",
        "1789000000000",
        "2026-11-21 15:08:00",
        "9242424242424242",
        "1 2 3 4 5 6 7 8 9 0 1 2 3 4",
    ] {
        assert_eq!(numbers(text), [], "{text}");
    }
}

#[test]
fn a_number_in_a_fixture_and_one_that_nobody_published_are_found() {
    let published = [Number {
        line: 1,
        digits: "4242424242424242".to_owned(),
    }];
    let fixture = "crates/rails/fixtures/stripe/case.txt";
    finds(
        &check(fixture, "number=4242424242424242", &published),
        "424242…4242: a test number, where",
    );
    finds(
        &check("tests/browser/pages.mjs", "'4000056655665556'", &published),
        "400005…5556 may be somebody's card",
    );
    accepts(&check("tests/browser/pages.mjs", "'4242424242424242'", &published));
    accepts(&check(fixture, "payment_method=pm_card_visa", &published));
}
