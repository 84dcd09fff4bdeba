//! `docs/adding-a-rail.md` shows code of the issuer's rail: it must be there, as it is shown.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

fn here() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap())
}

#[test]
fn the_guide_quotes_the_issuer_as_it_is() {
    let here = here();
    let guide = std::fs::read_to_string(here.join("../../docs/adding-a-rail.md")).unwrap();
    let source = std::fs::read_to_string(here.join("src/issuer.rs")).unwrap();
    let lines: Vec<&str> = source.lines().collect();
    let mut quotes = 0;
    for block in guide.split("```rust\n// issuer.rs\n").skip(1) {
        let quote = block.split("```").next().unwrap();
        quotes += 1;
        let mut at = 0;
        for line in quote.lines() {
            let found = lines[at..].iter().position(|known| known == &line);
            at += found.unwrap_or_else(|| panic!("issuer.rs no longer says, after line {at}:\n{line}")) + 1;
        }
    }
    assert!(quotes >= 7, "{quotes}");
}

#[test]
fn the_guide_names_files_that_exist() {
    let here = here();
    for file in [
        "src/issuer.rs",
        "src/stripe.rs",
        "tests/golden.rs",
        "tests/contract/issuer_world.rs",
        "tests/contract/scenes.rs",
        "tests/contract/planted.rs",
        "tests/support/spec.rs",
        "fixtures/stripe/signatures.json",
        "../core/data/decline-map.csv",
        "../core/src/money.rs",
        "../core/src/rail.rs",
    ] {
        assert!(here.join(file).exists(), "{file}");
    }
}
