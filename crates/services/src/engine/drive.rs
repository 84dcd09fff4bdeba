//! Drives a lane: gives it messages, does its I/O, carries out what it puts out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use florin_core::id::OrderId;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::{Called, Inner, Message, carry};
use crate::crash;
use crate::lane::{Job, Lane, Need, Output, Reply, Token};

/// A caller, and the place that it takes up.
type Caller = (oneshot::Sender<Reply>, OwnedSemaphorePermit);

struct Driver {
    inner: Arc<Inner>,
    lane: Lane,
    from: mpsc::UnboundedReceiver<Message>,
    depth: Arc<AtomicUsize>,
    at_work: Arc<AtomicBool>,
    callers: HashMap<Token, Caller>,
    /// Who is given up on when: everybody waits for the same time, so the oldest is first.
    patience: VecDeque<(Instant, Token, OrderId)>,
    tokens: u64,
    /// When the commit began whose end is not known yet: so did the leases that it gives.
    committing: Option<Instant>,
}

pub(super) async fn drive(
    inner: Arc<Inner>,
    lane: Lane,
    from: mpsc::UnboundedReceiver<Message>,
    (depth, at_work): (Arc<AtomicUsize>, Arc<AtomicBool>),
) {
    let _alarm = Alarm(Arc::clone(&inner));
    let mut driver = Driver {
        inner,
        lane,
        from,
        depth,
        at_work,
        callers: HashMap::new(),
        patience: VecDeque::new(),
        tokens: 0,
        committing: None,
    };
    driver.run().await;
}

/// A lane that ends before its engine is halted: nothing is acknowledged any more, so nothing may be taken on either.
struct Alarm(Arc<Inner>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if !self.0.stop.is_cancelled() {
            tracing::error!("a lane ended: this is a mistake of ours; start the process again");
            self.0.broken.store(true, Ordering::SeqCst);
        }
    }
}

impl Driver {
    async fn run(&mut self) {
        let mut need = Need::Nothing;
        loop {
            self.put_out();
            if !self.lane.asks() {
                self.committing = None;
            }
            need = match need {
                Need::Nothing => {
                    if !self.take_messages() && self.lane.queued() == 0 && !self.rest().await {
                        return;
                    }
                    self.take_messages();
                    self.lane.next(self.inner.clock.now())
                }
                Need::Pause(ms) => {
                    tokio::time::sleep(Duration::from_millis(ms.into())).await;
                    self.give_up();
                    self.take_messages();
                    self.lane.next(self.inner.clock.now())
                }
                Need::Load(wanted) => {
                    let found = self.inner.store.load(&wanted).await;
                    self.lane.loaded(found, self.inner.clock.now())
                }
                Need::Commit(batch) => {
                    let began = Instant::now();
                    self.committing = Some(began);
                    crash::point("before_commit");
                    let outcome = self.inner.store.commit_shared(&batch).await;
                    crash::point("after_commit");
                    self.inner.meter.commit_seconds.record(began.elapsed());
                    // What queued meanwhile is in the next batch.
                    self.take_messages();
                    self.lane.committed(outcome, self.inner.clock.now())
                }
                Need::WasCommitted(batch) => {
                    let there = self.inner.store.was_committed(&batch).await;
                    self.lane.known(there, self.inner.clock.now())
                }
            };
            if self.patience.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
                self.give_up();
            }
        }
    }

    /// Waits for something to do; false when there will never be anything.
    async fn rest(&mut self) -> bool {
        self.at_work.store(false, Ordering::SeqCst);
        self.inner.meter.waiting.set(self.lane.waiting() as f64);
        self.inner.meter.busy.set(self.lane.busy() as f64);
        let message = match self.patience.front() {
            Some((at, ..)) => tokio::select! {
                message = self.from.recv() => message,
                () = tokio::time::sleep_until(*at) => {
                    self.give_up();
                    return true;
                }
            },
            None => self.from.recv().await,
        };
        match message {
            Some(message) => {
                self.take(message);
                true
            }
            None => false,
        }
    }

    /// Takes whatever has come, without waiting for more.
    fn take_messages(&mut self) -> bool {
        let mut any = false;
        while let Ok(message) = self.from.try_recv() {
            self.take(message);
            any = true;
        }
        any
    }

    fn take(&mut self, message: Message) {
        // Before the depth falls: whoever drains must not see a moment without either.
        self.at_work.store(true, Ordering::SeqCst);
        match message {
            Message::Job(job) => self.lane.push(job),
            Message::Freeze(order, why) => self.lane.freeze(order, why),
            Message::Call { what, reply, _place } => {
                self.tokens += 1;
                let token = Token(self.tokens);
                self.callers.insert(token, (reply, _place));
                self.lane.push(match *what {
                    Called::Ask(ask, start) => Job::Ask {
                        token,
                        ask: Box::new(ask),
                        start,
                    },
                    Called::Notices(rows) => Job::Notices { token, rows },
                });
            }
        }
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        while let Some((_, token, order)) = self.patience.pop_front_if(|(at, ..)| *at <= now) {
            if self.callers.contains_key(&token) {
                self.lane.give_up(token, order);
            }
        }
        self.put_out();
    }

    fn put_out(&mut self) {
        let leased = self.committing.unwrap_or_else(Instant::now);
        for output in self.lane.take_outputs() {
            match output {
                Output::Reply(token, reply) => {
                    if let Some((caller, _place)) = self.callers.remove(&token) {
                        drop(caller.send(reply)); // a caller that hung up asks again with its key
                    }
                }
                Output::Waiting(token, order) => {
                    self.patience
                        .push_back((Instant::now() + self.inner.settings.call_wait, token, order));
                }
                Output::Effect(effect) => carry::begin(&self.inner, *effect, leased),
                Output::Noticed => self.inner.inbox.notify_one(),
                Output::Untold(id) => self.inner.told.again_soon(&id),
                Output::Damaged(order, why) => self.inner.freeze(order, why),
                Output::Broken(why) => {
                    tracing::error!(
                        why,
                        "the disk failed: nothing is acknowledged any more, start the process again"
                    );
                    self.inner.broken.store(true, Ordering::SeqCst);
                }
                Output::Committed(jobs, written) => {
                    self.inner.committed.ring(written);
                    self.inner.meter.commits.increment(1);
                    self.inner.meter.batch.record(jobs as f64);
                    self.inner.meter.queued.set(self.lane.queued() as f64);
                }
            }
        }
        while self
            .patience
            .front()
            .is_some_and(|(_, token, _)| !self.callers.contains_key(token))
        {
            self.patience.pop_front();
        }
    }
}
