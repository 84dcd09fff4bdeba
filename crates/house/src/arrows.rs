//! Which crate may know which: arrows point down only.

use crate::Finding;
use serde_json::Value;

/// Where a crate stands.
#[derive(Debug)]
pub struct Place {
    /// The folder under `crates/`.
    pub name: &'static str,
    /// Crates of ours that its code may use.
    pub uses: &'static [&'static str],
    /// Crates of ours that its tests may use as well.
    pub tests_use: &'static [&'static str],
}

/// The house plan. A new crate gets a line here, and the picture in `ARCHITECTURE.md` with it.
pub const PLACES: &[Place] = &[
    Place {
        name: "core",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "wire",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "rails",
        uses: &["core", "wire"],
        tests_use: &[],
    },
    Place {
        name: "store",
        uses: &["core"],
        tests_use: &[],
    },
    Place {
        name: "services",
        uses: &["core", "store"],
        tests_use: &["rails"],
    },
    Place {
        name: "channels",
        uses: &["core", "store", "services"],
        tests_use: &["rails", "testkit"],
    },
    // The world outside: held to our addresses and documents, never to our types.
    Place {
        name: "sandbox",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "shop",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "bench",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "house",
        uses: &[],
        tests_use: &[],
    },
    Place {
        name: "testkit",
        uses: &["core", "wire", "rails", "store", "services"],
        tests_use: &["sandbox"], // its card issuer is the witness
    },
    Place {
        name: "florin",
        uses: &[
            "core", "rails", "store", "services", "channels", "sandbox", "shop", "bench",
        ],
        tests_use: &["testkit"],
    },
];

/// Crates whose code computes and nothing else.
pub const PURE: &[&str] = &["core", "wire", "rails"];

/// What pure crates may take from others: data formats, errors, and functions over bytes.
pub const PURE_MAY_USE: &[&str] = &["serde", "serde_json", "itoa", "uuid", "zeroize", "subtle", "thiserror"];

/// Digests and signature checks are functions, and only what reads messages needs them.
const DIGESTS: &[&str] = &["aws-lc-rs"];
const MAY_USE_DIGESTS: &[&str] = &["wire", "rails"];

/// Holds the packages of `cargo metadata --no-deps` against [`PLACES`].
pub fn check(metadata: &Value) -> Vec<Finding> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Value) -> Vec<Finding> {
    let package_name = package["name"].as_str().expect("a package has a name");
    let name = package_name.strip_prefix("florin-").unwrap_or(package_name);
    let file = format!("crates/{name}/Cargo.toml");
    let Some(place) = PLACES.iter().find(|place| place.name == name) else {
        return vec![Finding::new(
            &file,
            0,
            "this crate has no place yet: give it one in crates/house/src/arrows.rs",
        )];
    };
    let mut findings = Vec::new();
    for dependency in package["dependencies"].as_array().expect("a package has dependencies") {
        let other = dependency["name"].as_str().expect("a dependency has a name");
        let for_tests = dependency["kind"] == "dev";
        if dependency["path"].is_string() {
            let other = other.strip_prefix("florin-").unwrap_or(other);
            if !(place.uses.contains(&other) || for_tests && place.tests_use.contains(&other)) {
                let part = if for_tests { "tests of " } else { "" };
                findings.push(Finding::new(
                    &file,
                    0,
                    format!("{part}{name} may not use {other}: arrows point down only"),
                ));
            }
        } else if PURE.contains(&name) && !for_tests && !may_use(name, other) {
            findings.push(Finding::new(
                &file,
                0,
                format!("{name} is pure and may not use {other}"),
            ));
        }
    }
    findings
}

fn may_use(pure: &str, other: &str) -> bool {
    PURE_MAY_USE.contains(&other) || DIGESTS.contains(&other) && MAY_USE_DIGESTS.contains(&pure)
}
