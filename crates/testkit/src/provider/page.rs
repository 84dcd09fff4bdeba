//! The hosted page: made by the merchant, paid by the payer.

use florin_core::time::Timestamp;
use serde_json::json;

use super::objects::{Intent, Session, Status};
use super::{Form, Provider, Said, event, missing, ok, problem};

/// How long a page is open, if the merchant does not say.
const PAGE_S: i64 = 24 * 3_600;

impl Provider {
    pub(super) fn make_session(&mut self, form: Form<'_>, now: Timestamp) -> Said {
        let mut amount = 0;
        for at in 0.. {
            let unit = form.number(&format!("line_items[{at}][price_data][unit_amount]"));
            let quantity = form.number(&format!("line_items[{at}][quantity]"));
            let (Some(unit), Some(quantity)) = (unit, quantity) else {
                break;
            };
            amount += unit * quantity;
        }
        if amount <= 0 {
            return missing("line_items");
        }
        let id = self.name("cs");
        let session = Session {
            id: id.clone(),
            status: "open",
            amount,
            currency: form
                .get("line_items[0][price_data][currency]")
                .unwrap_or("eur")
                .to_owned(),
            manual: form.get("payment_intent_data[capture_method]") == Some("manual"),
            metadata: form.metadata("payment_intent_data[metadata]"),
            reference: form.get("client_reference_id").unwrap_or_default().to_owned(),
            intent: None,
            expires_at: form
                .number("expires_at")
                .map_or(now.plus_seconds(PAGE_S), |at| Timestamp::default().plus_seconds(at)),
        };
        let shown = self.session_json(&session);
        self.sessions.insert(id, session);
        ok(shown)
    }

    pub(super) fn show_session(&self, id: &str) -> Said {
        match self.sessions.get(id) {
            Some(session) => ok(self.session_json(session)),
            None => missing("session"),
        }
    }

    pub(super) fn expire(&mut self, id: &str, now: Timestamp) -> Said {
        let Some(session) = self.sessions.get_mut(id) else {
            return missing("session");
        };
        if session.status != "open" {
            return problem(400, "invalid_request_error", "session_not_open", json!({}));
        }
        session.status = "expired";
        let intent = session.intent.clone();
        if let Some(intent) = intent {
            self.cancel(&intent, now);
        }
        self.tell_session("checkout.session.expired", id);
        self.show_session(id)
    }

    /// The payer pays on the page. Answers whether it is paid; a refused card leaves the page open.
    pub fn pay(&mut self, id: &str, card: &str, now: Timestamp) -> bool {
        self.passes(now);
        let Some(session) = self.sessions.get(id).filter(|session| session.status == "open") else {
            return false;
        };
        let (amount, currency, manual) = (session.amount, session.currency.clone(), session.manual);
        let (metadata, made) = (session.metadata.clone(), session.intent.clone());
        let intent = match made {
            Some(intent) => intent,
            None => {
                let name = self.name("pi");
                let intent = Intent {
                    id: name.clone(),
                    number: self.numbers,
                    created: now,
                    amount,
                    currency,
                    manual,
                    metadata,
                    status: Status::RequiresMethod,
                    error: None,
                    charge: None,
                    return_url: String::new(),
                };
                self.intents.insert(name.clone(), intent);
                name
            }
        };
        if let Some(session) = self.sessions.get_mut(id) {
            session.intent = Some(intent.clone());
        }
        if self.confirm(&intent, card, now).is_err() {
            return false;
        }
        if self
            .intents
            .get(&intent)
            .is_some_and(|intent| intent.status == Status::RequiresAction)
        {
            self.approve(&intent, now); // the page asks for the challenge itself
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.status = "complete";
        }
        self.tell_session("checkout.session.completed", id);
        true
    }

    /// Pages on which somebody could pay.
    pub fn open_pages(&self) -> Vec<String> {
        self.sessions
            .values()
            .filter(|session| session.status == "open")
            .map(|session| session.id.clone())
            .collect()
    }

    fn tell_session(&mut self, name: &str, id: &str) {
        let number = self.name("evt");
        if let Some(session) = self.sessions.get(id) {
            let mut object = self.session_json(session);
            // A webhook does not show what is inside.
            object["payment_intent"] = json!(session.intent);
            self.events.push(event(&number, name, object));
        }
    }
}
