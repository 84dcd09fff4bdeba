//! `florin listen`: prints events as they happen, and hands each to a program on this machine, signed like a webhook.
//!
//! It reads `GET /v1/events`, so it needs no public address and misses nothing that happened while it ran: it starts at the newest
//! event and goes on from there.

use std::time::Duration;

use florin_channels::api::events::NAMES;
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_services::notify::sign;
use serde_json::{Value, json};

use super::{Api, Failure, address, http, print};
use crate::cli::{Listen, Output};
use crate::say::plain;

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How often, while the server is away.
const AWAY: Duration = Duration::from_secs(2);
/// Events that may happen between two looks; they are fetched page by page.
const BETWEEN_MAX: usize = 10_000;
/// Events on a page.
const PAGE: u32 = 100;

pub(crate) async fn run(output: Output, listen: &Listen) -> Result<(), Failure> {
    for name in &listen.event {
        event_name(name)?;
    }
    let api = Api::merchant(&listen.remote)?;
    if let Some(url) = &listen.forward_to {
        address("--forward-to", url)?;
    }
    let forward = listen.forward_to.as_ref().map(|url| Forward {
        url: url.clone(),
        secret: sign::new_secret(),
        http: http::Http::new(),
    });
    if let Some(forward) = &forward
        && !output.quiet
    {
        // Shown because the program that is tried here must verify with it; it lives as long as this command.
        crate::say::note(&format!(
            "events go to {}; verify them with {}",
            forward.url,
            forward.secret.expose()
        ));
    }
    let mut newest = api.list("/v1/events", &[], 1).await?.first().and_then(id_of);
    let mut seen = 0;
    let mut lost = false;
    loop {
        let fresh = match news(&api, newest.as_deref()).await {
            Ok(fresh) => fresh,
            // A server that is started again, or busy, is waited for; what happened meanwhile is fetched then.
            Err(failure) if failure.passing => {
                if !lost && !output.quiet {
                    crate::say::note("the server cannot be reached: waiting for it");
                }
                lost = true;
                tokio::time::sleep(AWAY).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        lost = false;
        for event in fresh {
            newest = id_of(&event);
            if !wanted(&listen.event, &event) {
                continue;
            }
            print::list(output, std::slice::from_ref(&event), "");
            if let Some(forward) = &forward {
                forward.hand_on(&event, output).await;
            }
            seen += 1;
            if listen.count > 0 && seen >= listen.count {
                return Ok(());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Events newer than `newest`, oldest first.
async fn news(api: &Api, newest: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut fresh: Vec<Value> = Vec::new();
    loop {
        let after = fresh.last().and_then(id_of);
        let query: Vec<_> = after.into_iter().map(|id| ("after".to_owned(), id)).collect();
        let page = api.list("/v1/events", &query, PAGE).await?;
        let full = page.len() == PAGE as usize;
        let known = newest.and_then(|newest| page.iter().position(|event| id_of(event).as_deref() == Some(newest)));
        fresh.extend(page.into_iter().take(known.unwrap_or(usize::MAX)));
        if known.is_none() && full && fresh.len() < BETWEEN_MAX {
            continue;
        }
        if known.is_none() && full {
            crate::say::note(&format!(
                "more than {BETWEEN_MAX} events happened: the oldest of them are not shown (`florin events list` has them)"
            ));
        }
        fresh.reverse();
        return Ok(fresh);
    }
}

fn id_of(event: &Value) -> Option<String> {
    event.get("id").and_then(Value::as_str).map(str::to_owned)
}

/// Whether there are events of this name: one that never happens would be waited for without end.
fn event_name(name: &str) -> Result<(), Failure> {
    let known = match name.strip_suffix('*') {
        Some(start) => NAMES.iter().any(|known| known.starts_with(start)),
        None => NAMES.contains(&name),
    };
    if known {
        return Ok(());
    }
    let fix = format!("there are {}, groups such as order.*, and * for all", NAMES.join(", "));
    Err(Failure::usage(format!("`{name}` is no event"), &fix))
}

/// `order.captured` names one, `order.*` all that start so; none given is all.
fn wanted(names: &[String], event: &Value) -> bool {
    let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
    names.is_empty()
        || names
            .iter()
            .any(|want| want == name || want.strip_suffix('*').is_some_and(|start| name.starts_with(start)))
}

struct Forward {
    url: String,
    secret: Secret<String>,
    http: http::Http,
}

impl Forward {
    async fn hand_on(&self, event: &Value, output: Output) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let body = json!({
            "specversion": "1.0", "id": text("id"), "type": text("type"), "source": "/florin/listen", "subject": text("order"),
            "time": text("created_at"), "sequence": event.get("sequence"), "data": event.get("data"),
        })
        .to_string();
        let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        let signature = match sign::standard(std::slice::from_ref(&self.secret), text("id"), now, body.as_bytes()) {
            Ok(signature) => signature,
            Err(error) => return crate::say::note(&format!("cannot sign: {error}")),
        };
        let headers = [
            ("webhook-id", text("id").to_owned()),
            ("webhook-timestamp", now.seconds().to_string()),
            ("webhook-signature", signature),
        ];
        match self.http.post_bytes(&self.url, &headers, body.into_bytes()).await {
            Ok(200..=299) if output.quiet => {}
            Ok(status) => crate::say::note(&plain(&format!("  {} -> {status}", text("type")))),
            Err(error) => crate::say::note(&plain(&format!("  {} -> {error}", text("type")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_never_happens_is_not_waited_for() {
        for name in ["*", "order.*", "order.captured", "order.c*"] {
            assert!(event_name(name).is_ok(), "{name}");
        }
        for name in ["nope", "", "orders.*", "order.captured.x"] {
            let failure = event_name(name).unwrap_err();
            assert_eq!(failure.code, crate::client::USAGE, "{name}");
            assert!(failure.problem["fix"].as_str().unwrap().contains("order.captured"));
        }
    }

    #[test]
    fn names_choose_events() {
        let event = json!({ "type": "order.captured" });
        assert!(wanted(&[], &event));
        assert!(wanted(&["order.*".into()], &event));
        assert!(wanted(&["order.captured".into()], &event));
        assert!(!wanted(&["refund.*".into(), "order.created".into()], &event));
    }
}
