use crate::{accepts, finds};
use florin_house::documents::{both_ways, headings, table};
use florin_house::walk::{check, stops};
use florin_house::{expect_none, repository};

#[test]
fn every_error_code_has_its_paragraph_in_problems() {
    let (source, page) = ("crates/channels/src/problem.rs", "docs/problems.md");
    let Some(text) = repository::read_or_say(source) else {
        return;
    };
    let codes = table(source, &text, "CODES", "code").expect("problem.rs lists its codes in `const CODES`");
    assert!(!codes.is_empty());
    let paragraphs = headings(page, &repository::read(page).unwrap_or_default());
    expect_none(&both_ways(&codes, &paragraphs, page));
}

#[test]
fn every_alert_has_its_page_in_the_runbook() {
    let page = "docs/runbook.md";
    let alerts = repository::files("crates", &[".rs"])
        .into_iter()
        .find_map(|(path, text)| {
            let ours = !path.starts_with("crates/house/");
            ours.then(|| table(&path, &text, "ALERTS", "name")).flatten()
        });
    let Some(alerts) = alerts else {
        repository::say_absent("`const ALERTS`");
        return;
    };
    assert!(!alerts.is_empty());
    let pages = headings(page, &repository::read(page).unwrap_or_default());
    expect_none(&both_ways(&alerts, &pages, page));
}

#[test]
fn a_name_without_a_paragraph_and_a_paragraph_without_a_name_are_found() {
    let source = "/// All of them.\npub const CODES: &[Code] = &[\n    Code { code: \"key_reused\", title: \"gone\" },\n    Code { code: \"too_much\", title: \"x\" },\n];\nconst MORE: &str = \"not_this\";";
    let codes = table("problem.rs", source, "CODES", "code").expect("the table is there");
    let names: Vec<(usize, &str)> = codes.iter().map(|one| (one.line, one.name.as_str())).collect();
    assert_eq!(names, [(3, "key_reused"), (4, "too_much")]);

    let page = "# Problems\n\n## `key_reused`\ntext with `too_much`\n";
    finds(
        &both_ways(&codes, &headings("p.md", page), "p.md"),
        "problem.rs:4: `too_much` has no paragraph",
    );
    let page = "## `key_reused`\n## `too_much`\n## `no_more`\n";
    finds(
        &both_ways(&codes, &headings("p.md", page), "p.md"),
        "p.md:3: `no_more` is described",
    );
}

#[test]
fn a_table_of_plain_words_is_read_too() {
    let alerts = table(
        "a.rs",
        "pub const ALERTS: [(&str, &str); 1] = [(\"outbox_old\", \"a sentence\")];",
        "ALERTS",
        "name",
    );
    let names: Vec<String> = alerts
        .expect("the table is there")
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["outbox_old"]);
    assert_eq!(table("a.rs", "use b::ALERTS;", "ALERTS", "name"), None);
}

#[test]
fn the_walk_through_the_architecture_still_exists() {
    let Some(text) = repository::read_or_say("ARCHITECTURE.md") else {
        return;
    };
    expect_none(&check(&stops(&text), repository::read));
}

#[test]
fn a_stop_that_does_not_exist_any_more_is_found() {
    let page = "# Architecture\n`crates/a.rs` `not_a_stop`\n## One confirm, walked\n1. `crates/a.rs` `Engine::execute`: the door\n2. `crates/b.rs` `decide()`\n## Else\n`crates/c.rs` `gone`\n";
    let stops = stops(page);
    assert_eq!(
        stops.iter().map(|stop| stop.function.as_str()).collect::<Vec<_>>(),
        ["execute", "decide"]
    );
    let both = |path: &str| {
        Some(
            if path == "crates/a.rs" {
                "fn execute() {}"
            } else {
                "fn decide() {}"
            }
            .to_owned(),
        )
    };
    accepts(&check(&stops, both));
    finds(
        &check(&stops, |path| both(path).filter(|_| path == "crates/a.rs")),
        ":5: crates/b.rs does not exist",
    );
    finds(
        &check(&stops, |_| Some("fn execute() {} // fn decide".to_owned())),
        "no function `decide`",
    );
}

#[test]
fn a_walk_of_seven_files_or_none_is_found() {
    let page: String = (0..7).map(|at| format!("{at}. `crates/{at}.rs` `go`\n")).collect();
    finds(
        &check(&stops(&format!("## The walk\n{page}")), |_| {
            Some("fn go() {}".to_owned())
        }),
        "7 files",
    );
    finds(&check(&stops("# Architecture\n"), |_| None), "there is no walk");
}
