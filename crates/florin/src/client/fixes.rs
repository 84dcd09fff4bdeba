//! What to do now, for who reads it at the command line: the server says it in the words of HTTP.

use florin_channels::problem::CODES;
use serde_json::Value;

/// By the problem's code. `{order}` stands for the order that it is about.
const COMMANDS: &[(&str, &str)] = &[
    ("invalid_request", SAME_RELEASE),
    ("unknown_member", SAME_RELEASE),
    ("missing_member", SAME_RELEASE),
    ("missing_key", SAME_RELEASE),
    ("method_not_allowed", SAME_RELEASE),
    ("unsupported_media_type", SAME_RELEASE),
    (
        "unauthorized",
        "set FLORIN_KEY to a key that is in force, or name a file with --key-file; who manages your keys makes one with `florin keys create`",
    ),
    (
        "reference_taken",
        "go on with the order that is there, `florin get {order}`; for another purchase, give another --reference",
    ),
    (
        "in_flight",
        "look with `florin get {order}` until the attempt has ended; then repeat the command, never beside it",
    ),
    (
        "already_paid",
        "charge nothing more: `florin get {order}` says whether goods may go out (`deliverable`)",
    ),
    (
        "order_over",
        "make a new order with a reference of its own: `florin pay`",
    ),
    (
        "attempt_over",
        "`florin attempts list {order}` says how the attempt ended",
    ),
    (
        "stale_action",
        "send the payer to the `next_action` that `florin get {order}` shows",
    ),
    (
        "uncertain",
        "wait, and look with `florin get {order}`: the provider is being asked; never charge again meanwhile",
    ),
    (
        "too_late",
        "look with `florin get {order}` until it has its outcome; if it was paid, `florin refund {order}`",
    ),
    ("use_void", "`florin void {order}`"),
    ("use_refund", "`florin refund {order}`"),
    (
        "not_authorized",
        "`florin get {order}` shows how it stands: what is held (`authorized`) can be captured or given back",
    ),
    (
        "not_captured",
        "there is nothing to give back: `florin void {order}` ends a hold, `florin cancel {order}` an order that nobody has paid",
    ),
    (
        "already_captured",
        "nothing is left to take; `florin refund {order}` gives money back",
    ),
    ("step_in_flight", "wait a second or two, then repeat the command"),
    (
        "other_amount",
        "look with `florin get {order}`: what is due has changed",
    ),
    (
        "too_much",
        "ask for at most what is available, or leave out --amount for all of it",
    ),
    (
        "not_positive",
        "give an amount of at least one minor unit; to take nothing, `florin void {order}`",
    ),
    (
        "too_many_captures",
        "make the last capture final (without --keep-rest), and use a new order for the rest",
    ),
    ("key_reused", "repeat the command: it makes a new call"),
    (
        "no_connection",
        "add a connection or enable one, over the API: its reference (`/docs`) says how",
    ),
    ("rate_limited", "wait a few seconds, then repeat the command"),
    ("busy", "wait a few seconds, then repeat the command"),
    (
        "internal",
        "look what became of it before you repeat the command, which makes a new call; if it stays, give the request's id to the people who \
         run this server",
    ),
    ("unavailable", LOOK_FIRST),
    ("draining", LOOK_FIRST),
    (
        "disk_full",
        "repeat the command when the people who run this server have freed space",
    ),
];
const SAME_RELEASE: &str =
    "compare the command with its --help; if it is right, use `florin` and the server of one release";
pub(super) const LOOK_FIRST: &str = "look what became of it before you repeat the command, which makes a new call";

/// Where the server says something else than its list does.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "leave out `final: false`, with a new idempotency key: what is not captured goes back to the payer",
        "leave out --keep-rest: what is not captured goes back to the payer",
    ),
    (
        "leave out `merchant` and `mode`, or call with the installation's admin key",
        "leave out --merchant and --mode, or set FLORIN_ADMIN_KEY to the installation's admin key",
    ),
    (
        "send `Authorization: Bearer …` with the admin key; who runs this server has it",
        "set FLORIN_ADMIN_KEY to the admin key, or name a file with --key-file; who runs this server has it",
    ),
];

/// Puts the words of the command line in the place of the server's.
pub(super) fn of_the_command_line(problem: &mut Value) {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, said) = (text("code"), text("fix"));
    let of_the_list = CODES.iter().any(|row| row.0 == code && row.3 == said);
    let fix = match COMMANDS.iter().find(|row| of_the_list && row.0 == code) {
        Some((_, fix)) => fix,
        None => match OTHERWISE.iter().find(|row| row.0 == said) {
            Some((_, fix)) => fix,
            None => return,
        },
    };
    let order = text("order");
    let fix = fix.replace("{order}", if order.is_empty() { "ORDER" } else { order });
    problem["fix"] = fix.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_command_line_tells_people_to_do_is_said_in_commands() {
        const OF_HTTP: &[&str] = &[
            "idempotency",
            "Idempotency",
            "`/v",
            "`/r",
            "`/c",
            "/v1/",
            "same key",
            "Retry-After",
            "header",
            "Authorization",
            "JSON",
            "POST",
            "GET ",
            "`amount`",
            "`order`",
            "{order}",
        ];
        let lists = CODES.iter().map(|row| (row.0, row.3));
        for (code, fix) in lists.chain(OTHERWISE.iter().map(|row| ("forbidden", row.0))) {
            let mut problem = json!({ "code": code, "fix": fix, "order": "ord_1" });
            of_the_command_line(&mut problem);
            let fix = problem["fix"].as_str().unwrap();
            for word in OF_HTTP {
                assert!(!fix.contains(word), "{code}: `{fix}` says `{word}`");
            }
        }
        let mut problem = json!({ "code": "not_captured", "fix": "something that this call knows better" });
        of_the_command_line(&mut problem);
        assert_eq!(problem["fix"], "something that this call knows better");
    }

    #[test]
    fn every_sentence_here_stands_for_one_of_the_servers() {
        for (code, _) in COMMANDS {
            assert!(CODES.iter().any(|row| row.0 == *code), "{code}");
        }
        let sources = [
            include_str!("../../../channels/src/api/refused.rs"),
            include_str!("../../../channels/src/api/keys.rs"),
            include_str!("../../../channels/src/api/gate.rs"),
        ];
        for (said, _) in OTHERWISE {
            assert!(sources.iter().any(|source| source.contains(said)), "{said}");
        }
    }
}
