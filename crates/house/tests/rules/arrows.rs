use crate::{accepts, finds};
use florin_house::arrows::{PLACES, check};
use florin_house::{expect_none, repository};
use serde_json::{Value, json};

#[test]
fn arrows_between_crates_point_down_only() {
    expect_none(&check(&repository::cargo_metadata()));
}

#[test]
fn the_house_plan_has_no_circle() {
    for place in PLACES {
        let mut seen = vec![place.name];
        let mut next = place.uses.to_vec();
        while let Some(name) = next.pop() {
            assert_ne!(name, place.name, "{} uses itself by way of others", place.name);
            if !seen.contains(&name) {
                seen.push(name);
                next.extend(
                    PLACES
                        .iter()
                        .filter(|other| other.name == name)
                        .flat_map(|other| other.uses),
                );
            }
        }
    }
}

fn package(name: &str, dependencies: &Value) -> Value {
    json!({ "packages": [{ "name": name, "dependencies": dependencies }] })
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let ours = |kind: Value| json!([{ "name": "florin-services", "kind": kind, "path": "/x" }]);
    finds(
        &check(&package("florin-core", &ours(Value::Null))),
        "core may not use services",
    );
    finds(
        &check(&package("florin-shop", &ours(Value::Null))),
        "shop may not use services",
    );
    finds(
        &check(&package("florin-store", &ours(json!("dev")))),
        "tests of store may not use services",
    );
    accepts(&check(&package("florin-channels", &ours(Value::Null))));
}

#[test]
fn a_runtime_in_a_pure_crate_is_found() {
    let dependency = |name: &str, kind: Value| json!([{ "name": name, "kind": kind }]);
    finds(
        &check(&package("florin-rails", &dependency("tokio", Value::Null))),
        "rails is pure and may not use tokio",
    );
    finds(
        &check(&package("florin-core", &dependency("aws-lc-rs", Value::Null))),
        "core is pure",
    );
    accepts(&check(&package("florin-rails", &dependency("aws-lc-rs", Value::Null))));
    accepts(&check(&package("florin-core", &dependency("proptest", json!("dev")))));
}

#[test]
fn a_crate_without_a_place_is_found() {
    finds(&check(&package("florin-attic", &json!([]))), "has no place yet");
}
