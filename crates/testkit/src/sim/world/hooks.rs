//! Webhooks out: the reader behind the commit, and the deliveries that follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_services::notify::{self, Try};
use florin_store::{Claim, DeliveryRow, Store};

use super::{Doing, FOLLOW_MS, Happening, World};
use crate::sim::ears;
use crate::sim::node::at_once;

impl World {
    pub(super) fn follow_soon(&mut self, at: usize) {
        if !self.nodes[at].following && self.nodes[at].alive {
            self.nodes[at].following = true;
            let (life, after) = (self.nodes[at].life, self.dice.between(FOLLOW_MS, 3_000));
            self.soon(after, Happening::Follow(at, life));
        }
    }

    /// What a node's reader and notifier do when the bell rings.
    pub(super) fn follow(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Follow(at, life));
        }
        self.nodes[at].following = false;
        self.mishap(at, Doing::Fold);
        let reader = Arc::clone(&self.nodes[at].reader);
        if at_once(reader.catch_up()).is_err() {
            self.follow_soon(at);
        }
        let claim = Claim {
            node: self.nodes[at].id,
            now: self.nodes[at].now(self.now_ms),
            lease_s: ears::LEASE_S,
            limit: 256,
            own: false,
            without: Vec::new(),
        };
        self.mishap(at, Doing::Other);
        let taken = at_once(self.nodes[at].store.claim_deliveries(&claim)).unwrap_or_default();
        let mut lines: BTreeMap<OrderId, Vec<DeliveryRow>> = BTreeMap::new();
        for delivery in taken {
            lines.entry(delivery.order).or_default().push(delivery);
        }
        for mut line in lines.into_values() {
            line.sort_by(|a, b| a.event.cmp(&b.event));
            self.soon(0, Happening::Deliver(at, life, line, 0));
        }
    }

    pub(super) fn deliver(&mut self, at: usize, life: u64, line: Vec<DeliveryRow>, next: usize) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Deliver(at, life, line, next));
        }
        let Some(delivery) = line.get(next) else {
            self.mishap(at, Doing::Other);
            if at_once(self.nodes[at].store.write_deliveries(&line)).is_err() {
                self.count("deliveries that were not written down"); // they go again when their lease is over
            }
            return;
        };
        let fate = self
            .ears
            .knock(&delivery.event, &mut self.dice, &self.swarm, self.healed);
        self.count("deliveries");
        self.soon(fate.ms, Happening::Delivered(at, life, line, next, fate.status));
    }

    pub(super) fn delivered(
        &mut self,
        at: usize,
        life: u64,
        mut line: Vec<DeliveryRow>,
        next: usize,
        status: Option<u16>,
    ) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Delivered(at, life, line, next, status));
        }
        let this_try = Try {
            at: self.nodes[at].now(self.now_ms),
            status_code: status,
            duration_ms: 0,
            error: status.is_none().then(|| "no answer".to_owned()),
        };
        if !this_try.succeeded() {
            self.count("deliveries that failed");
        }
        if let Some(delivery) = line.get_mut(next) {
            notify::plan::after(delivery, this_try);
        }
        self.deliver(at, life, line, next + 1);
    }
}
