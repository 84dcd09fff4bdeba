use crate::{accepts, finds};
use florin_house::dependencies::{Lists, TREE_FORMAT, allowed, check};
use florin_house::{Finding, expect_none, repository};

fn lists() -> Lists {
    let text = repository::read("deny.toml").expect("deny.toml is in the repository");
    Lists::parse(&text).expect("deny.toml is readable")
}

#[test]
fn licences_sources_and_bans_are_kept() {
    let all = [
        "tree",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        TREE_FORMAT,
    ];
    let tree = repository::cargo(&all);
    assert!(tree.lines().count() > 50, "cargo tree printed little: {tree}");
    expect_none(&check(&tree, &lists()));
}

#[test]
fn every_crate_of_ours_is_under_the_licence_of_the_project() {
    let metadata = repository::cargo_metadata();
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    assert!(!packages.is_empty());
    for package in packages {
        assert_eq!(
            package["license"], "Apache-2.0",
            "{}: add license.workspace = true",
            package["name"]
        );
    }
    let licence = repository::read("LICENSE").expect("the licence is in the repository");
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
    assert!(
        licence.contains("END OF TERMS AND CONDITIONS"),
        "the whole text, not a summary"
    );
}

#[test]
fn a_foreign_licence_source_or_banned_crate_is_found() {
    accepts(&check(
        "fine v1.0.0|MIT OR Apache-2.0\nmacro v1.0.0 (proc-macro)|MIT\nours v1.0.0 (/a/b)|Apache-2.0\n",
        &lists(),
    ));
    finds(
        &check("copyleft v1.0.0|AGPL-3.0", &lists()),
        "copyleft: licence `AGPL-3.0`",
    );
    finds(&check("nameless v1.0.0|", &lists()), "nameless: licence ``");
    finds(&check("ring v0.17.14|Apache-2.0 AND ISC", &lists()), "aws-lc-rs it is");
    finds(
        &check("fork v1.0.0 (https://example.org/fork#1234)|MIT", &lists()),
        "comes from https://example.org/fork",
    );
}

#[test]
fn a_licence_expression_is_met_as_a_whole() {
    let licences = [
        "MIT".to_owned(),
        "ISC".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ];
    for met in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT AND ISC",
        "MIT/Zlib",
        "(GPL-3.0 OR ISC) AND MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(met, &licences), "{met}");
    }
    for unmet in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "GPL-3.0 OR Zlib",
        "(GPL-3.0 OR ISC) AND Zlib",
        "Apache-2.0",
        "MIT MIT",
    ] {
        assert!(!allowed(unmet, &licences), "{unmet}");
    }
}

#[test]
fn what_the_kits_need_is_pinned_and_names_no_registry() {
    let lock = repository::read("tests/package-lock.json").expect("the kits' lock file is in the repository");
    let lines: Vec<Finding> = lock
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("\"resolved\""))
        .map(|(at, _)| {
            Finding::new(
                "tests/package-lock.json",
                at + 1,
                "an address: npm install --omit-lockfile-registry-resolved",
            )
        })
        .collect();
    expect_none(&lines);
    let requirements = repository::read("tests/requirements.txt").expect("the kits' list is in the repository");
    for line in requirements
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        assert!(line.contains("=="), "tests/requirements.txt: {line} has no version");
    }
}
