use crate::{accepts, finds};
use florin_house::words::{FLOATS, attributes, baked_paths, floats, impure, log_fields, marks, prints};
use florin_house::{Finding, expect_none, repository};

fn over_sources(rule: impl Fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
    let files = repository::files("crates", &[".rs"]);
    assert!(files.len() > 10, "the walk over crates/ found {} files", files.len());
    files.iter().flat_map(|(path, text)| rule(path, text)).collect()
}

#[test]
fn pure_crates_have_no_clock_dice_async_or_io() {
    expect_none(&over_sources(impure));
}

#[test]
fn a_clock_dice_async_or_io_in_a_pure_crate_is_found() {
    let rail = "crates/rails/src/acme.rs";
    finds(
        &impure(rail, "fn a() { let t = std::time::Instant::now(); }"),
        "`Instant`: time is an argument",
    );
    finds(&impure(rail, "use std::time::{Duration, SystemTime};"), "`SystemTime`");
    finds(&impure(rail, "async fn a() {}"), "`async`");
    finds(&impure(rail, "fn a() { std::fs::read(\"x\"); }"), "`std::fs`");
    finds(&impure(rail, "use std::{fmt, fs};"), "`std::fs`");
    finds(&impure(rail, "fn a() { rand::random() }"), "`rand`");
    finds(&impure(rail, "use std::collections::HashMap;"), "BTreeMap");
    accepts(&impure(
        rail,
        "//! Knows no async, no Instant.\nfn a(fs: &str) -> &str { fs } // std::fs",
    ));
    accepts(&impure(
        rail,
        "#[cfg(test)]\nmod tests { fn golden() { std::fs::read(\"x\"); } }",
    ));
    accepts(&impure("crates/services/src/worker.rs", "async fn a() {}"));
}

#[test]
fn no_float_stands_near_money() {
    expect_none(&over_sources(floats));
    for (file, why) in FLOATS {
        assert!(repository::read(file).is_some(), "{file} is excused and does not exist");
        assert!(!why.is_empty(), "{file} is excused without a reason");
    }
}

#[test]
fn a_float_near_money_is_found() {
    finds(&floats("crates/core/src/money.rs", "fn share(part: f64) {}"), "`f64`");
    finds(&floats("crates/store/src/a.rs", "let fee = 0.5_f32;"), "`5_f32`");
    accepts(&floats(
        "crates/core/src/money.rs",
        "/// Never an f64.\nfn share(part: i64) {}",
    ));
    accepts(&floats("crates/bench/src/report.rs", "fn ratio() -> f64 { 1.0 }"));
}

#[test]
fn only_the_command_line_prints() {
    expect_none(&over_sources(prints));
}

#[test]
fn a_print_outside_the_command_line_is_found() {
    finds(
        &prints(
            "crates/channels/src/api.rs",
            "fn a(card: &str) { println!(\"{card}\"); }",
        ),
        "`println!`",
    );
    finds(&prints("crates/services/src/a.rs", "fn a() { dbg!(1); }"), "`dbg!`");
    accepts(&prints("crates/florin/src/cli.rs", "fn a() { println!(\"ready\"); }"));
    accepts(&prints("crates/channels/src/api.rs", "fn print(a: u8) {}"));
}

#[test]
fn a_log_line_has_each_key_once() {
    expect_none(&over_sources(log_fields));
}

#[test]
fn a_log_field_named_like_a_part_of_the_line_is_found() {
    let file = "crates/services/src/a.rs";
    finds(
        &log_fields(
            file,
            "fn a() {\n    tracing::info!(of = f(1, 2), level = next.level, \"done\");\n}",
        ),
        ":2: the log field `level`",
    );
    finds(
        &log_fields(file, "fn a() { tracing::warn!(%target, \"gone\"); }"),
        "`target`",
    );
    finds(
        &log_fields(file, "fn a() { tracing::error!(message, \"gone\"); }"),
        "`message`",
    );
    finds(
        &log_fields(
            file,
            "fn a() { tracing::debug_span!(\"exchange\", name = %call.name); }",
        ),
        "`name`",
    );
    accepts(&log_fields(
        file,
        "fn a() { tracing::info!(target: \"florin::access\", name = next.name, schema_level = f(level), \"level {}\", level()); }",
    ));
    accepts(&log_fields(
        file,
        "#[cfg(test)]\nmod tests { fn b() { tracing::info!(level, \"x\"); } }",
    ));
}

#[test]
fn nothing_is_left_for_later() {
    let mut findings = over_sources(marks);
    for (folder, endings) in [
        ("crates", [".sql", ".html", ".css", ".js", ".toml"].as_slice()),
        ("tests", &[".py", ".mjs", ".js"]),
        ("docs", &[".md"]),
    ] {
        findings.extend(
            repository::files(folder, endings)
                .iter()
                .flat_map(|(path, text)| marks(path, text)),
        );
    }
    expect_none(&findings);
}

#[test]
fn what_is_left_for_later_is_found() {
    finds(&marks("crates/core/src/order.rs", "fn a() { todo!() }"), "`todo!`");
    finds(&marks("crates/core/src/order.rs", "// FIXME: later"), "`FIXME`");
    finds(
        &marks("crates/core/tests/order.rs", "#[test]\n#[ignore]\nfn a() {}"),
        ":2: `#[ignore]`",
    );
    finds(&marks("docs/runbook.md", "TODO describe"), "`TODO`");
    accepts(&marks(
        "crates/core/src/order.rs",
        "// A list of things to do.\nfn todo() {}",
    ));
}

#[test]
fn no_program_remembers_the_checkout_that_built_it() {
    expect_none(&over_sources(baked_paths));
}

#[test]
fn a_path_baked_in_is_found() {
    let test = "crates/rails/tests/golden.rs";
    finds(
        &baked_paths(
            test,
            "fn a() -> &'static Path {\n    Path::new(env!(\"CARGO_MANIFEST_DIR\"))\n}",
        ),
        ":2: the path of the checkout",
    );
    accepts(&baked_paths(test, "// env!(\"CARGO_MANIFEST_DIR\") would be baked in"));
    accepts(&baked_paths(
        test,
        "fn a() { std::env::var(\"CARGO_MANIFEST_DIR\"); env!(\"CARGO_PKG_VERSION\"); }",
    ));
}

#[test]
fn every_crate_forbids_unsafe_and_matches_on_our_enums_have_no_wildcard() {
    expect_none(&over_sources(attributes));
}

#[test]
fn a_crate_without_its_attributes_is_found() {
    let unsafe_only = "#![forbid(unsafe_code)]\npub mod a;";
    finds(
        &attributes("crates/shop/src/lib.rs", "pub mod a;"),
        "forbid(unsafe_code)",
    );
    finds(
        &attributes("crates/florin/src/main.rs", "mod cli;\nfn main() {}"),
        "forbid(unsafe_code)",
    );
    finds(
        &attributes("crates/core/src/lib.rs", unsafe_only),
        "wildcard_enum_match_arm",
    );
    accepts(&attributes("crates/shop/src/lib.rs", unsafe_only));
    accepts(&attributes(
        "crates/core/src/lib.rs",
        "#![forbid(unsafe_code)]\n#![deny(clippy::wildcard_enum_match_arm)]\npub mod a;",
    ));
    accepts(&attributes("crates/core/src/lib.rs", "//! Nothing here yet."));
}
