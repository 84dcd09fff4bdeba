//! Who calls Florin: writes every call down before it is made, and every answer when it came. What never got an answer is unknown, and is
//! asked again under the same key.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::{self, Heard, Said};

/// How long a caller waits before it repeats a call that had no final answer.
const PAUSE: Duration = Duration::from_millis(50);
/// Within which everything converges after a fault (promise 8).
pub const CONVERGES: Duration = Duration::from_secs(300);

/// A call, and everything that was ever answered to it.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub body: Value,
    pub answers: Vec<Said>,
    pub lost: u32,
}

impl Call {
    /// The answer that ends it, if it came.
    pub fn over(&self) -> Option<&Said> {
        self.answers.iter().find(|said| !said.is_later())
    }
}

pub struct Till {
    /// The API key.
    pub key: String,
    base: Mutex<String>,
    calls: Mutex<BTreeMap<String, Call>>,
}

impl Till {
    pub fn new(base: &str, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            base: Mutex::new(base.to_owned()),
            calls: Mutex::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where Florin is now.
    pub fn base(&self) -> String {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn turn_to(&self, base: &str) {
        base.clone_into(&mut self.base.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All that was called, by key.
    pub fn calls(&self) -> BTreeMap<String, Call> {
        self.locked().clone()
    }

    /// Strikes a call out: what comes of it from now on is no promise.
    pub fn forget(&self, key: &str) {
        self.locked().remove(key);
    }

    pub async fn get(&self, path: &str) -> Heard {
        let bearer = format!("Bearer {}", self.key);
        http::ask(&self.base(), "GET", path, &[("authorization", &bearer)], b"").await
    }

    /// Calls once under this key.
    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Heard {
        self.post_at(&self.base(), key, path, body).await
    }

    /// As [`Till::post`], at one of several nodes.
    pub async fn post_at(&self, base: &str, key: &str, path: &str, body: &Value) -> Heard {
        self.locked().entry(key.to_owned()).or_insert_with(|| Call {
            path: path.to_owned(),
            body: body.clone(),
            answers: Vec::new(),
            lost: 0,
        });
        let was_over = self.is_over(key);
        let heard = self.unwritten(base, key, path, body).await;
        if let Some(call) = self.locked().get_mut(key) {
            match &heard {
                // Asked before the final answer was heard, and said before it: two answers may overtake each other.
                Heard::Said(said) if said.is_later() && !was_over => {
                    let end = call.answers.iter().position(|said| !said.is_later());
                    call.answers.insert(end.unwrap_or(call.answers.len()), said.clone());
                }
                Heard::Said(said) => call.answers.push(said.clone()),
                Heard::Lost(_) => call.lost += 1,
            }
        }
        heard
    }

    fn is_over(&self, key: &str) -> bool {
        self.locked().get(key).is_some_and(|call| call.over().is_some())
    }

    /// Writes down an answer that nobody gave: for the canary of the judge.
    pub fn heard(&self, key: &str, path: &str, body: &Value, said: Said) {
        let call = || Call {
            path: path.to_owned(),
            body: body.clone(),
            answers: Vec::new(),
            lost: 0,
        };
        self.locked()
            .entry(key.to_owned())
            .or_insert_with(call)
            .answers
            .push(said);
    }

    /// Calls without writing it down: for calls that are meant to be refused.
    pub async fn unwritten(&self, base: &str, key: &str, path: &str, body: &Value) -> Heard {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        http::ask(base, "POST", path, &headers, body.to_string().as_bytes()).await
    }

    /// Repeats a call until its final answer.
    pub async fn settle(&self, key: &str, path: &str, body: &Value) -> Said {
        let deadline = Instant::now() + CONVERGES;
        loop {
            let heard = self.post(key, path, body).await;
            match heard {
                Heard::Said(said) if !said.is_later() => return said,
                other => assert!(Instant::now() < deadline, "`{key}` never came to an end: {other:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Repeats every call that has no final answer until it has one.
    pub async fn settle_all(&self) {
        loop {
            let calls = self.calls();
            let open: Vec<_> = calls.iter().filter(|(_, call)| call.over().is_none()).collect();
            if open.is_empty() {
                return;
            }
            for (key, call) in open {
                self.settle(key, &call.path, &call.body).await;
            }
        }
    }

    /// Makes finished calls once more, `sample` of them: the answers have to be the same.
    pub async fn repeat(&self, sample: usize) {
        let calls = self.calls();
        let step = (calls.len() / sample.max(1)).max(1);
        for (key, call) in calls.iter().step_by(step) {
            if call.over().is_some() {
                self.settle(key, &call.path, &call.body).await;
            }
        }
    }
}

pub fn sale(reference: &str, amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR", "reference": reference, "confirm": true, "method": "card_visa"})
}

pub fn hold(reference: &str, amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR", "reference": reference, "confirm": true, "method": "card_visa", "capture": "later"})
}

pub fn declined(reference: &str, amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR", "reference": reference, "confirm": true,
        "method": "card_visa_chargeDeclinedInsufficientFunds"})
}

/// What customers do.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Only sales, not all that can be done with a payment.
    pub only_sales: bool,
    /// How long they wait before they repeat a call that had no final answer.
    pub pause: Duration,
}

/// Customers that come one after the other until told to stop.
pub struct Load {
    till: Arc<Till>,
    run: String,
    manner: Manner,
    stop: AtomicBool,
    next: AtomicU32,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Load {
    pub fn start(till: &Arc<Till>, run: &str, customers: usize) -> Arc<Self> {
        let manner = Manner {
            only_sales: false,
            pause: PAUSE,
        };
        Self::start_with(till, run, customers, manner)
    }

    pub fn start_with(till: &Arc<Till>, run: &str, customers: usize, manner: Manner) -> Arc<Self> {
        let load = Arc::new(Self {
            till: Arc::clone(till),
            run: run.to_owned(),
            manner,
            stop: AtomicBool::new(false),
            next: AtomicU32::new(0),
            tasks: Mutex::default(),
        });
        let tasks = (0..customers).map(|_| tokio::spawn(Arc::clone(&load).customer()));
        *load.tasks.lock().unwrap() = tasks.collect();
        load
    }

    /// Orders whose first call was answered for good.
    pub fn answered(&self) -> usize {
        let calls = self.till.locked();
        calls
            .values()
            .filter(|call| call.path == "/v1/orders" && call.over().is_some())
            .count()
    }

    /// Waits until `more` further orders were answered.
    pub async fn goes_on(&self, more: usize) {
        let mut answered = self.answered();
        let (goal, mut deadline) = (answered + more, Instant::now() + CONVERGES);
        while answered < goal {
            assert!(Instant::now() < deadline, "no progress: {answered} of {goal} orders");
            tokio::time::sleep(Duration::from_millis(10)).await;
            let by_now = self.answered();
            if by_now > answered {
                (answered, deadline) = (by_now, Instant::now() + CONVERGES);
            }
        }
    }

    /// Stops, and waits for calls that are out. What has no final answer stays open.
    pub async fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        for task in tasks {
            task.await.unwrap();
        }
    }

    async fn customer(self: Arc<Self>) {
        while !self.stop.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let reference = format!("{}-{number}", self.run);
            self.errand(number, &reference).await;
        }
    }

    async fn errand(&self, number: u32, reference: &str) -> Option<()> {
        let amount = 1_000 + i64::from(number % 7);
        let made = match number % 8 {
            _ if self.manner.only_sales => sale(reference, amount),
            0..=3 | 7 => sale(reference, amount),
            4 | 5 => hold(reference, amount),
            _ => declined(reference, amount),
        };
        let order = self.call(&format!("{reference}:make"), "/v1/orders", &made).await?;
        let at = |action: &str| format!("/v1/orders/{}/{action}", order.text("id"));
        match (number % 8, order.word()) {
            _ if self.manner.only_sales => {}
            (3, "captured") => {
                let half = json!({"amount": 400});
                self.call(&format!("{reference}:refund"), &at("refunds"), &half).await?;
            }
            (4, "authorized") => {
                let part = json!({"amount": 600});
                self.call(&format!("{reference}:capture"), &at("capture"), &part)
                    .await?;
            }
            (5, "authorized") => {
                self.call(&format!("{reference}:void"), &at("void"), &json!({})).await?;
            }
            _ => {}
        }
        Some(())
    }

    /// Repeats a call until its final answer, or until it is time to stop.
    async fn call(&self, key: &str, path: &str, body: &Value) -> Option<Said> {
        loop {
            match self.till.post(key, path, body).await {
                Heard::Said(said) if !said.is_later() => return Some(said),
                Heard::Said(_) | Heard::Lost(_) if self.stop.load(Ordering::SeqCst) => return None,
                Heard::Said(_) | Heard::Lost(_) => tokio::time::sleep(self.manner.pause).await,
            }
        }
    }
}
