//! Each client command: one or two calls, and what is printed.

use florin_core::money::{Currency, Money};
use serde_json::{Value, json};

use super::{Api, FAILED, Failure, NOT_FOUND, UNREACHABLE, piece, print, query_text};
use crate::cli::{
    Attempts, Capture, Events, Get, Keys, Ledger, Merchants, OrderArg, Orders, Output, Pay, Refund, Webhooks,
};

/// Entries that an export reads at most; beyond it, narrow the time.
const EXPORT_MAX: u32 = 10_000_000;

pub(crate) async fn merchants(output: Output, command: &Merchants) -> Result<(), Failure> {
    match command {
        Merchants::Create { name, remote } => {
            let made = Api::admin(remote)?
                .post("/v1/merchants", &json!({ "name": name }))
                .await?;
            let id = made.get("id").and_then(Value::as_str).unwrap_or("mer_…");
            let instead = format!("make another key with `florin keys create --merchant {id}`");
            with_secret(output, &made, "key", &instead)?;
        }
        Merchants::List { remote } => {
            let list = Api::admin(remote)?.list("/v1/merchants", &[], 1_000).await?;
            print::list(
                output,
                &list,
                "no merchants yet: make one with `florin merchants create NAME`",
            );
        }
    }
    Ok(())
}

/// Prints what was made with a secret, its `member`. The first answer alone shows it: when that was lost and the call was repeated,
/// somebody must know.
fn with_secret(output: Output, made: &Value, member: &str, instead: &str) -> Result<(), Failure> {
    print::object(output, made);
    if made.get(member).is_some_and(Value::is_string) {
        return Ok(());
    }
    let message = "it is done, but the answer that showed the secret was lost on the way, and it is shown once";
    Err(Failure::new(FAILED, "secret_not_shown", message, instead))
}

pub(crate) async fn keys(output: Output, command: &Keys) -> Result<(), Failure> {
    match command {
        Keys::Create {
            merchant,
            mode,
            label,
            scope,
            remote,
        } => {
            let mut body = json!({ "label": label });
            if let Some(mode) = mode {
                body["mode"] = json!(mode.word());
            }
            if !scope.is_empty() {
                body["scopes"] = json!(scope);
            }
            let made = match merchant {
                Some(merchant) => {
                    body["merchant"] = json!(merchant);
                    Api::admin(remote)?.post("/v1/keys", &body).await?
                }
                None => Api::merchant(remote)?.post("/v1/keys", &body).await?,
            };
            with_secret(output, &made, "secret", "revoke this key and make another one")?;
        }
        Keys::Roll { id, overlap, remote } => {
            let body = json!({ "overlap_s": overlap });
            let path = format!("/v1/keys/{}/roll", piece(id));
            let rolled = Api::merchant(remote)?.post(&path, &body).await?;
            with_secret(
                output,
                &rolled,
                "secret",
                "roll the new key, while the old one still works",
            )?;
        }
        Keys::Revoke { id, remote } => {
            print::object(
                output,
                &Api::merchant(remote)?
                    .post(&format!("/v1/keys/{}/revoke", piece(id)), &json!({}))
                    .await?,
            );
        }
        Keys::List { remote } => print::list(
            output,
            &Api::merchant(remote)?.list("/v1/keys", &[], 1_000).await?,
            "no keys",
        ),
    }
    Ok(())
}

pub(crate) async fn pay(output: Output, pay: &Pay) -> Result<(), Failure> {
    let reference = pay
        .reference
        .clone()
        .unwrap_or_else(|| format!("cli-{}", florin_services::dice::token::<16>()));
    let mut body = json!({
        "amount": amount_of(&pay.amount, &pay.currency)?,
        "currency": pay.currency.to_uppercase(),
        "reference": reference,
        "capture": if pay.hold { "later" } else { "at_once" },
        "confirm": true,
        "method": pay.method,
    });
    if let Some(description) = &pay.description {
        body["description"] = json!(description);
    }
    let order = Api::merchant(&pay.remote)?
        .post("/v1/orders", &body)
        .await
        .map_err(|failure| failure.look_first(&reference))?;
    print::object(output, &order);
    outcome(&order, &reference, pay.method == "hosted")
}

/// An amount as it was typed; what people type else is said in minor units, if the currency is known.
fn amount_of(typed: &str, currency: &str) -> Result<i64, Failure> {
    typed.parse().map_err(|_| {
        let currency: Option<Currency> = currency.to_uppercase().parse().ok();
        let meant = currency.and_then(|currency| Some(Money::new(minor_of(typed, currency.exponent())?, currency)));
        let fix = match meant {
            Some(money) => format!("write {} for {money}", money.minor()),
            None => "write 1099 for 10.99 EUR".to_owned(),
        };
        Failure::usage(format!("`{typed}` is no amount: amounts are whole minor units"), &fix)
    })
}

/// `10.99` in minor units, if it has no more decimals than the currency.
fn minor_of(typed: &str, exponent: u32) -> Option<i64> {
    let (whole, part) = typed.split_once(['.', ',']).unwrap_or((typed, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent as usize;
    if whole.is_empty() || part.len() > exponent || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<exponent$}").parse().ok()
}

/// Whether somebody who asked for a payment has one: the order is there and printed, but a script goes by the exit code.
fn outcome(order: &Value, reference: &str, hosted: bool) -> Result<(), Failure> {
    let text = |path: &str| order.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let failed = |what: &str, detail: String| {
        let fix = "pay the order with another method, or make another one";
        Err(Failure::new(FAILED, what, detail, fix))
    };
    let unknown = |detail: &str, fix: &str| {
        let look =
            format!("{fix}: `florin get {reference}` shows it, and `--reference {reference}` makes no second order");
        Err(Failure::new(UNREACHABLE, "outcome_unknown", detail, &look))
    };
    let status = text("/payment_order_status");
    match (status, text("/last_attempt/status")) {
        ("captured" | "authorized", _) => Ok(()),
        (_, "declined") => {
            let message = text("/last_attempt/decline/message");
            let message = if message.is_empty() {
                "the payment was declined"
            } else {
                message
            };
            failed("declined", message.to_owned())
        }
        ("requires_action", _) if hosted => Ok(()),
        ("requires_action", _) => unknown(
            "the payer has to act first: whether it will be paid is not known",
            "send the payer to the address above, and look what became of it",
        ),
        ("processing", _) => unknown(
            "the provider has not answered yet: whether it is paid is not known",
            "look what became of it before you repeat the command",
        ),
        _ => failed("not_paid", format!("the order is {status}, and not paid")),
    }
}

pub(crate) async fn capture(output: Output, capture: &Capture) -> Result<(), Failure> {
    let mut body = json!({ "final": !capture.keep_rest });
    if let Some(amount) = capture.amount {
        body["amount"] = json!(amount);
    }
    let api = Api::merchant(&capture.remote)?;
    let path = format!("/v1/orders/{}/capture", piece(&capture.order));
    let done = api.ask(&path, &body).await?;
    print::object(output, &done.body);
    if done.open {
        return Err(not_over(&done.body));
    }
    // The newest capture, or what became of the order, may be another caller's doing.
    match done.body.get("capture_made") {
        Some(made) => step_ended(made),
        None => {
            let detail = "the capture is over, and the server does not say how it ended";
            let fix = format!(
                "look before you repeat the command, which asks once more: `florin get {}`",
                capture.order
            );
            Err(Failure::new(UNREACHABLE, "outcome_unknown", detail, &fix))
        }
    }
}

/// `void` and `cancel`: no body, one order.
pub(crate) async fn simple(output: Output, order: &OrderArg, verb: &str) -> Result<(), Failure> {
    let path = format!("/v1/orders/{}/{verb}", piece(&order.order));
    let done = Api::merchant(&order.remote)?.ask(&path, &json!({})).await?;
    print::object(output, &done.body);
    if done.open {
        return Err(not_over(&done.body));
    }
    hold_ended(&done.body)
}

pub(crate) async fn refund(output: Output, refund: &Refund) -> Result<(), Failure> {
    let body = refund
        .amount
        .map_or_else(|| json!({}), |amount| json!({ "amount": amount }));
    let path = format!("/v1/orders/{}/refunds", piece(&refund.order));
    let done = Api::merchant(&refund.remote)?.ask(&path, &body).await?;
    print::object(output, &done.body);
    if done.open {
        return Err(not_over(&done.body));
    }
    step_ended(&done.body)
}

/// The provider has not answered yet: what was asked for is written down, and a script must not take it for done.
fn not_over(shown: &Value) -> Failure {
    let id = shown.get("id").and_then(Value::as_str).unwrap_or_default();
    let fix = format!("look what became of it before you repeat the command, which asks once more: `florin get {id}`");
    let detail = "the provider has not answered yet: whether it is done is not known";
    Failure::new(UNREACHABLE, "outcome_unknown", detail, &fix)
}

/// How a capture or a refund ended.
fn step_ended(step: &Value) -> Result<(), Failure> {
    let text = |path: &str| step.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let refused = |detail: String| {
        Err(Failure::new(
            FAILED,
            "declined",
            detail,
            "nothing was moved by this call",
        ))
    };
    match (text("/status"), text("/decline/message")) {
        ("succeeded", _) => Ok(()),
        ("processing", _) => Err(not_over(step)),
        ("returned", _) => refused("the money came back after it had been sent".to_owned()),
        (_, "") => refused("the provider refused it".to_owned()),
        (_, why) => refused(format!("the provider refused it: {why}")),
    }
}

/// Whether the hold of an order is gone. One that stands was not given back: the provider refused.
fn hold_ended(order: &Value) -> Result<(), Failure> {
    let held = |status: &&str| matches!(*status, "authorized" | "partially_captured");
    let status = order.get("payment_order_status").and_then(Value::as_str);
    if status.filter(held).is_none() {
        return Ok(());
    }
    let detail = "the provider refused to give the hold back: the money is still held";
    Err(Failure::new(
        FAILED,
        "declined",
        detail,
        "capture it, or void it once more later",
    ))
}

/// Where each kind of id is read.
const PLACES: [(&str, &str); 8] = [
    ("ord_", "orders"),
    ("evt_", "events"),
    ("cus_", "customers"),
    ("met_", "methods"),
    ("con_", "connections"),
    ("whe_", "webhook_endpoints"),
    ("del_", "deliveries"),
    ("ref_", "refunds"),
];

/// The list in which a thing stands that has no address of its own, and what it is called.
fn part_of(id: &str) -> Option<(String, &'static str)> {
    /// Letters of an order's id behind its prefix; an attempt's begins with the same.
    const ORDER_LETTERS: usize = 26;
    if id.starts_with("key_") {
        return Some(("/v1/keys".to_owned(), "key"));
    }
    let (member, letters) = [("attempt", "att_"), ("capture", "cap_")]
        .into_iter()
        .find_map(|(member, prefix)| Some((member, id.strip_prefix(prefix)?.get(..ORDER_LETTERS)?)))?;
    Some((format!("/v1/orders/ord_{}/{member}s", piece(letters)), member))
}

pub(crate) async fn get(output: Output, get: &Get) -> Result<(), Failure> {
    let api = Api::merchant(&get.remote)?;
    if let Some((_, place)) = PLACES.into_iter().find(|(prefix, _)| get.id.starts_with(prefix)) {
        print::object(output, &api.get(&format!("/v1/{place}/{}", piece(&get.id))).await?);
        return Ok(());
    }
    if let Some((place, member)) = part_of(&get.id) {
        let all = api.list(&place, &[], 1_000).await?;
        let found = all
            .into_iter()
            .find(|item| item.get("id").and_then(Value::as_str) == Some(&get.id));
        let found = found.ok_or_else(|| {
            let detail = format!("there is no {member} `{}`", get.id);
            Failure::new(
                NOT_FOUND,
                "not_found",
                detail,
                "check the id, and that the key is of the same merchant and mode",
            )
        })?;
        print::object(output, &found);
        return Ok(());
    }
    let query = query_text(&[("reference".to_owned(), get.id.clone())]);
    let found = api.get(&format!("/v1/orders?{query}")).await?;
    let first = found
        .get("data")
        .and_then(Value::as_array)
        .and_then(|data| data.first())
        .cloned();
    let order = first.ok_or_else(|| {
        let detail = format!("there is no order with the reference `{}`", get.id);
        Failure::new(
            NOT_FOUND,
            "not_found",
            detail,
            "give an id such as ord_…, or the reference the order was made with",
        )
    })?;
    print::object(output, &order);
    Ok(())
}

pub(crate) async fn orders(output: Output, orders: &Orders) -> Result<(), Failure> {
    let mut query: Vec<(String, String)> = Vec::new();
    let given = [
        ("status", &orders.status),
        ("reference", &orders.reference),
        ("customer", &orders.customer),
        ("after", &orders.after),
    ];
    query.extend(
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))),
    );
    for pair in &orders.metadata {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{pair}` is no metadata filter"), "write --metadata name=value"))?;
        query.push((format!("metadata[{name}]"), value.to_owned()));
    }
    if orders.attention {
        query.push(("attention".to_owned(), "true".to_owned()));
    }
    let list = Api::merchant(&orders.remote)?
        .list("/v1/orders", &query, orders.limit)
        .await?;
    let empty = if query.is_empty() {
        "no orders here: make one with `florin pay 1099 EUR`"
    } else {
        "no order fits: `florin orders` lists all"
    };
    print::list(output, &list, empty);
    Ok(())
}

pub(crate) async fn attempts(output: Output, command: &Attempts) -> Result<(), Failure> {
    match command {
        Attempts::List(order) => {
            let path = format!("/v1/orders/{}/attempts", piece(&order.order));
            print::list(
                output,
                &Api::merchant(&order.remote)?.list(&path, &[], 100).await?,
                "no attempts",
            );
        }
        Attempts::Resolve {
            id,
            outcome,
            amount,
            note,
            remote,
        } => {
            let mut body = json!({ "as": outcome.word(), "note": note });
            if let Some(amount) = amount {
                body["amount"] = json!(amount);
            }
            let (attempt, step) = id
                .split_once('/')
                .map_or((id.as_str(), None), |(attempt, step)| (attempt, Some(step)));
            if let Some(step) = step {
                body["step"] = json!(step);
            }
            print::object(
                output,
                &Api::merchant(remote)?
                    .post(&format!("/v1/attempts/{}/resolve", piece(attempt)), &body)
                    .await?,
            );
        }
    }
    Ok(())
}

pub(crate) async fn events(output: Output, command: &Events) -> Result<(), Failure> {
    match command {
        Events::List { order, limit, remote } => {
            let path = order.as_ref().map_or("/v1/events".to_owned(), |order| {
                format!("/v1/orders/{}/events", piece(order))
            });
            print::list(
                output,
                &Api::merchant(remote)?.list(&path, &[], *limit).await?,
                "no events",
            );
        }
        Events::Resend { id, endpoint, remote } => {
            let body = endpoint
                .as_ref()
                .map_or_else(|| json!({}), |endpoint| json!({ "endpoint": endpoint }));
            let path = format!("/v1/events/{}/resend", piece(id));
            let sent = Api::merchant(remote)?.post(&path, &body).await?;
            match sent.get("data").and_then(Value::as_array) {
                Some(deliveries) if !output.json => print::list(output, deliveries, "no endpoint takes this event"),
                _ => print::object(output, &sent),
            }
        }
    }
    Ok(())
}

pub(crate) async fn webhooks(output: Output, command: &Webhooks) -> Result<(), Failure> {
    match command {
        Webhooks::Create { url, event, remote } => {
            let body = json!({ "url": url, "events": event });
            let made = Api::merchant(remote)?.post("/v1/webhook_endpoints", &body).await?;
            with_secret(
                output,
                &made,
                "secret",
                "get another one with `florin webhooks rotate ID`",
            )?;
        }
        Webhooks::List { remote } => {
            let list = Api::merchant(remote)?.list("/v1/webhook_endpoints", &[], 1_000).await?;
            print::list(output, &list, "no endpoints: add one with `florin webhooks create URL`");
        }
        Webhooks::Rotate { id, remote } => {
            let path = format!("/v1/webhook_endpoints/{}/rotate_secret", piece(id));
            let rotated = Api::merchant(remote)?.post(&path, &json!({})).await?;
            with_secret(output, &rotated, "secret", "rotate it again")?;
        }
        Webhooks::Delete { id, remote } => {
            print::object(
                output,
                &Api::merchant(remote)?
                    .delete(&format!("/v1/webhook_endpoints/{}", piece(id)))
                    .await?,
            );
        }
        Webhooks::Deliveries {
            order,
            status,
            limit,
            remote,
        } => {
            let given = [("order", order), ("status", status)];
            let query: Vec<_> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
                .collect();
            print::list(
                output,
                &Api::merchant(remote)?.list("/v1/deliveries", &query, *limit).await?,
                "no deliveries",
            );
        }
    }
    Ok(())
}

pub(crate) async fn ledger(output: Output, command: &Ledger) -> Result<(), Failure> {
    match command {
        Ledger::Balances { remote } => {
            let balances = Api::merchant(remote)?.get("/v1/balances").await?;
            let rows = balances
                .get("data")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            if output.json {
                print::list(output, &rows, "");
            } else {
                for row in &rows {
                    let text = |name: &str| {
                        row.get(name)
                            .map(|member| member.as_str().map_or_else(|| member.to_string(), str::to_owned))
                            .unwrap_or_default()
                    };
                    let line = format!(
                        "{:<16} {} {:>20} posted {:>20} pending",
                        text("account"),
                        text("currency"),
                        text("posted"),
                        text("pending")
                    );
                    print::line(&line);
                }
            }
        }
        Ledger::Export { from, to, remote } => {
            let given = [("from", from), ("to", to)];
            let mut query: Vec<_> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
                .collect();
            query.push(("order".to_owned(), "oldest".to_owned()));
            let mut begun = output.json;
            // Page by page: the books of a year need not fit into memory.
            let write = |entries: Vec<Value>| {
                if !std::mem::replace(&mut begun, true) {
                    print::line("created_at,order,event,template,phase,debit,credit,amount,currency,connection,id");
                }
                if output.json {
                    return print::list(output, &entries, "");
                }
                for entry in &entries {
                    print::line(&csv(entry));
                }
            };
            let entries = Api::merchant(remote)?
                .each_page("/v1/ledger_entries", &query, EXPORT_MAX, write)
                .await?;
            if entries >= EXPORT_MAX {
                let detail = format!("the export ends after {EXPORT_MAX} entries, and there may be more");
                return Err(Failure::new(
                    FAILED,
                    "cut_short",
                    detail,
                    "export shorter times with --from and --to",
                ));
            }
        }
    }
    Ok(())
}

/// One ledger entry as a line of CSV (RFC 4180; none of these members can hold a comma or a quote).
fn csv(entry: &Value) -> String {
    let at = |path: &str| {
        entry
            .pointer(path)
            .filter(|member| !member.is_null())
            .map(|member| member.as_str().map_or_else(|| member.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    [
        "/created_at",
        "/order",
        "/event",
        "/template",
        "/phase",
        "/debit/account",
        "/credit/account",
        "/amount",
        "/currency",
        "/debit/connection",
        "/id",
    ]
    .map(at)
    .join(",")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn only_a_payment_that_is_taken_or_held_ends_well_and_one_that_nobody_knows_of_ends_with_6() {
        let order = |status: &str, attempt: &str| {
            json!({
                "payment_order_status": status,
                "last_attempt": { "status": attempt, "decline": { "message": "not enough money" } },
            })
        };
        let code = |status: &str, attempt: &str, hosted| {
            let said = outcome(&order(status, attempt), "A-17", hosted);
            said.map_or_else(|failure| failure.code, |()| 0)
        };
        assert_eq!(code("captured", "succeeded", false), 0);
        assert_eq!(code("authorized", "succeeded", false), 0);
        assert_eq!(
            code("requires_action", "requires_action", true),
            0,
            "a link was asked for"
        );
        assert_eq!(code("requires_action", "requires_action", false), UNREACHABLE);
        for hosted in [true, false] {
            assert_eq!(code("processing", "processing", hosted), UNREACHABLE);
            assert_eq!(code("created", "declined", hosted), FAILED);
            assert_eq!(code("created", "canceled", hosted), FAILED);
            assert_eq!(code("expired", "reversed", hosted), FAILED);
        }
        let unknown = outcome(&order("processing", "processing"), "A-17", false).unwrap_err();
        assert!(unknown.problem["fix"].as_str().unwrap().contains("florin get A-17"));
        let declined = outcome(&order("created", "declined"), "A-17", false).unwrap_err();
        assert_eq!(declined.problem["detail"], "not enough money");
    }

    #[test]
    fn an_amount_with_a_point_is_said_in_minor_units() {
        assert_eq!(amount_of("1099", "EUR").unwrap(), 1099);
        for (typed, currency, fix) in [
            ("10.99", "eur", "write 1099 for EUR 10.99"),
            ("10,9", "EUR", "write 1090 for EUR 10.90"),
            ("10.", "JPY", "write 10 for JPY 10"),
            ("10.999", "EUR", "write 1099 for 10.99 EUR"),
            ("10.99", "XXX?", "write 1099 for 10.99 EUR"),
            ("ten", "EUR", "write 1099 for 10.99 EUR"),
            ("", "EUR", "write 1099 for 10.99 EUR"),
        ] {
            let failure = amount_of(typed, currency).unwrap_err();
            assert_eq!(
                (failure.code, failure.problem["fix"].as_str()),
                (crate::client::USAGE, Some(fix)),
                "{typed}"
            );
        }
    }

    const QUIET: Output = Output {
        json: false,
        quiet: true,
        no_input: true,
    };

    /// The command line of a client command, against the server at `api`.
    fn typed(words: &[&str], api: &str, key: &std::path::Path) -> crate::cli::Command {
        let words = ["florin"].iter().chain(words).copied();
        let remote = ["--api", api, "--key-file", key.to_str().unwrap()];
        crate::cli::Cli::try_parse_from(words.chain(remote)).unwrap().command
    }

    #[tokio::test]
    async fn a_key_has_the_mode_of_the_key_that_makes_it_unless_another_is_asked_for() {
        let key = std::env::temp_dir().join(format!("florin-mode-key-{}", std::process::id()));
        std::fs::write(&key, "sk_live_x").unwrap();
        let api = crate::client::tests::server_that_hears(|heard| {
            if heard.contains("\"mode\":\"test\"") {
                let other = json!({ "code": "forbidden", "detail": "a merchant's key makes keys of its own merchant and mode" });
                return ("403 Forbidden".to_owned(), other.to_string().into_bytes());
            }
            let made = json!({ "id": "key_1", "secret": "sk_live_y" });
            ("201 Created".to_owned(), made.to_string().into_bytes())
        })
        .await;
        for (words, wanted) in [
            (&["keys", "create"][..], 0),
            (&["keys", "create", "--mode", "live"], 0),
            (&["keys", "create", "--mode", "test"], crate::client::NOT_ALLOWED),
        ] {
            let crate::cli::Command::Keys(command) = typed(words, &api, &key) else {
                panic!("{words:?}");
            };
            assert_eq!(code(keys(QUIET, &command).await), wanted, "{words:?}");
        }
        std::fs::remove_file(key).unwrap();
    }

    #[tokio::test]
    async fn a_merchant_whose_key_was_lost_on_the_way_says_how_to_get_one() {
        let key = std::env::temp_dir().join(format!("florin-merchant-key-{}", std::process::id()));
        std::fs::write(&key, "fl_admin_x").unwrap();
        let first = json!({ "id": "mer_1", "key": "sk_test_y" });
        let replayed = json!({ "id": "mer_1" });
        for (said, wanted) in [(first, 0), (replayed, FAILED)] {
            let api = crate::client::tests::server_that_answers("201 Created", said.to_string().into_bytes()).await;
            let crate::cli::Command::Merchants(command) = typed(&["merchants", "create", "Shop"], &api, &key) else {
                panic!("another command");
            };
            let done = merchants(QUIET, &command).await;
            if let Err(failure) = &done {
                let fix = failure.problem["fix"].as_str().unwrap();
                assert!(fix.contains("florin keys create --merchant mer_1"), "{fix}");
            }
            assert_eq!(code(done), wanted, "{said}");
        }
        std::fs::remove_file(key).unwrap();
    }

    fn code(said: Result<(), Failure>) -> u8 {
        said.map_or_else(|failure| failure.code, |()| 0)
    }

    #[tokio::test]
    async fn what_the_server_has_only_accepted_ends_with_6() {
        let key = std::env::temp_dir().join(format!("florin-key-{}", std::process::id()));
        std::fs::write(&key, "sk_test_x").unwrap();
        for (status, word, wanted) in [("202 Accepted", "processing", UNREACHABLE), ("200 OK", "succeeded", 0)] {
            let said = json!({ "id": "ref_1", "status": word, "payment_order_status": "canceled", "capture_made": { "status": word } });
            let api = crate::client::tests::server_that_answers(status, said.to_string().into_bytes()).await;
            let remote = || crate::cli::Remote {
                api: Some(api.clone()),
                key_file: Some(key.clone()),
                data: Default::default(),
            };
            let output = Output {
                json: false,
                quiet: true,
                no_input: true,
            };
            let order = || "ord_1".to_owned();
            let taken = Capture {
                order: order(),
                amount: None,
                keep_rest: false,
                remote: remote(),
            };
            let back = Refund {
                order: order(),
                amount: None,
                remote: remote(),
            };
            let held = OrderArg {
                order: order(),
                remote: remote(),
            };
            assert_eq!(code(capture(output, &taken).await), wanted, "capture, {status}");
            assert_eq!(code(refund(output, &back).await), wanted, "refund, {status}");
            for verb in ["void", "cancel"] {
                assert_eq!(code(simple(output, &held, verb).await), wanted, "{verb}, {status}");
            }
        }
        std::fs::remove_file(key).unwrap();
    }

    #[tokio::test]
    async fn a_capture_is_judged_by_the_one_that_this_call_made() {
        let key = std::env::temp_dir().join(format!("florin-capture-key-{}", std::process::id()));
        std::fs::write(&key, "sk_test_x").unwrap();
        for (own, anothers, status, wanted) in [
            ("failed", "succeeded", "partially_captured", FAILED),
            ("failed", "succeeded", "captured", FAILED),
            ("succeeded", "failed", "partially_captured", 0),
        ] {
            let said = json!({
                "id": "ord_1", "payment_order_status": status, "capture_made": { "id": "cap_1", "status": own },
                "data": [{ "id": "cap_2", "status": anothers }, { "id": "cap_1", "status": own }],
            });
            let taken = Capture {
                order: "ord_1".to_owned(),
                amount: Some(1),
                keep_rest: true,
                remote: crate::cli::Remote {
                    api: Some(crate::client::tests::server_that_answers("200 OK", said.to_string().into_bytes()).await),
                    key_file: Some(key.clone()),
                    data: Default::default(),
                },
            };
            let output = Output {
                json: false,
                quiet: true,
                no_input: true,
            };
            assert_eq!(
                code(capture(output, &taken).await),
                wanted,
                "{own} beside {anothers}, {status}"
            );
        }
        std::fs::remove_file(key).unwrap();
    }

    #[test]
    fn a_step_that_the_provider_has_not_answered_ends_with_6_and_one_that_it_refused_with_1() {
        let step = |status: &str| json!({ "id": "ref_1", "status": status, "decline": { "message": "closed" } });
        assert_eq!(code(step_ended(&step("succeeded"))), 0);
        assert_eq!(code(step_ended(&step("failed"))), FAILED);
        assert_eq!(code(step_ended(&step("returned"))), FAILED);
        let open = step_ended(&step("processing")).unwrap_err();
        assert_eq!(open.code, UNREACHABLE);
        assert!(open.problem["fix"].as_str().unwrap().contains("florin get ref_1"));
        let order = |status: &str| json!({ "payment_order_status": status });
        assert_eq!(code(hold_ended(&order("canceled"))), 0);
        for held in ["authorized", "partially_captured"] {
            assert_eq!(code(hold_ended(&order(held))), FAILED, "{held}");
        }
    }
}
