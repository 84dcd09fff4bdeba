//! Law 19: formulas give the bytes of the published signature vectors. Law 13: what is not signed is refused.

use aws_lc_rs::hmac;
use florin_core::rail::{Check, Notice, Opened, Part, Rail};
use florin_core::time::Timestamp;
use florin_rails::stripe::Stripe;
use serde_json::Value;

/// What the keyring does with a formula.
fn fill(parts: &[Part], secret: &str, notice: &Notice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Part::Secret(_) => bytes.extend_from_slice(secret.as_bytes()),
            Part::Received => bytes.extend_from_slice(&notice.body),
            Part::Header(name) => {
                bytes.extend_from_slice(notice.headers.get(&**name).map_or(&[], |value| value.as_bytes()))
            }
            Part::HmacSha256Hex(key, over) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &fill(key, secret, notice));
                let tag = hmac::sign(&key, &fill(over, secret, notice));
                bytes.extend(tag.as_ref().iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
            }
        }
    }
    bytes
}

/// Whether every check of a notice holds; one without checks is refused.
fn holds(opened: &Opened, secret: &str, notice: &Notice, now: Timestamp) -> bool {
    !opened.checks.is_empty()
        && opened.checks.iter().all(|check| match check {
            Check::Equal { formula, one_of } => {
                let computed = fill(std::slice::from_ref(formula), secret, notice);
                one_of.iter().any(|given| given.as_bytes() == computed)
            }
            Check::Fresh { at, within_s } => now.millis_since(*at).unsigned_abs() <= u64::from(*within_s) * 1000,
        })
}

fn notice(header: &str, body: &str) -> Notice {
    Notice {
        headers: ["stripe-signature", "issuer-signature"]
            .map(|name| (name.into(), header.into()))
            .into(),
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn law_19_stripes_signature_has_the_bytes_of_the_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../../fixtures/stripe/signatures.json")).unwrap();
    let (secret, body) = (vectors["secret"].as_str().unwrap(), vectors["body"].as_str().unwrap());
    let signed_at = vectors["timestamp"].as_i64().unwrap();
    let judge = |header: &str, body: &str, secret: &str, now: i64| {
        let notice = notice(header, body);
        holds(
            &Stripe.open(&notice),
            secret,
            &notice,
            Timestamp::from_millis(now * 1000),
        )
    };
    for header in vectors["accept"].as_array().unwrap() {
        let header = header.as_str().unwrap();
        assert!(judge(header, body, secret, signed_at), "{header}");
        assert!(
            judge(header, body, secret, signed_at + 300),
            "{header}, five minutes later"
        );
        assert!(!judge(header, body, secret, signed_at + 301), "{header}, too late");
        assert!(
            !judge(header, body, secret, signed_at - 301),
            "{header}, from the future"
        );
        assert!(
            !judge(header, body, "whsec_other", signed_at),
            "{header}, another secret"
        );
    }
    let refuse = vectors["refuse"].as_array().unwrap();
    assert!(refuse.len() >= 5);
    for case in refuse {
        let (header, body) = (case["header"].as_str().unwrap(), case["body"].as_str().unwrap());
        assert!(!judge(header, body, secret, signed_at), "{}", case["name"]);
    }
}

#[test]
fn law_13_a_notice_that_nothing_proves_is_refused_by_every_rail() {
    for rail in florin_rails::ALL {
        for header in [
            "",
            "t=1",
            "v1=aa",
            "t=1,v1",
            "t=-1,v1=aa",
            "t=99999999999999999999,v1=aa",
            "t=1,,v1=aa",
            "\u{0}",
        ] {
            let opened = rail.open(&notice(
                header,
                r#"{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{}}}"#,
            ));
            assert_eq!(opened.checks, [], "{} `{header}`", rail.table().name);
        }
        assert_eq!(rail.open(&Notice::default()).checks, []);
    }
}

#[test]
fn a_formula_names_no_secret_outside_the_table() {
    let opened = Stripe.open(&notice("t=1,v1=aa", "{}"));
    let text = format!("{opened:?}");
    assert!(text.contains("webhook_secret") && Stripe.table().secrets.contains(&"webhook_secret"));
}
