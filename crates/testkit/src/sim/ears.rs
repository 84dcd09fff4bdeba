//! Webhooks out: each node's reader, the shipped one, makes deliveries of what was committed, and a merchant's server hears them, or does
//! not. Whatever goes wrong, in the end every event was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use florin_core::id::{EndpointId, Ids};
use florin_core::rail::Rail;
use florin_core::time::Timestamp;
use florin_services::directory::{Dialect, Directory, Endpoint, Surroundings};
use florin_services::reader::Reader;
use florin_services::snapshot::{Named, event_ids};
use florin_store::memory::MemoryStore;
use florin_store::{DeliveryRow, DeliverySearch, DeliveryStatus, EventRow, Store, Tenant};

use super::dice::Dice;
use super::node::at_once;
use super::swarm::Swarm;

/// The lease of a delivery that a node has taken.
pub(super) const LEASE_S: u32 = 60;
/// After this long a node gives up on a merchant's server.
const ANSWER_MS_MAX: i64 = 15_000;

/// The merchant's server: what it heard, and how often.
#[derive(Default)]
pub(super) struct Ears {
    heard: BTreeMap<String, u32>,
}

/// What becomes of one try.
pub(super) struct Fate {
    /// What the node is told: a status, or nothing.
    pub(super) status: Option<u16>,
    /// How long that takes.
    pub(super) ms: i64,
}

impl Ears {
    /// An event knocks.
    pub(super) fn knock(&mut self, event: &str, dice: &mut Dice, swarm: &Swarm, healed: bool) -> Fate {
        let ms = dice.between(5, 200);
        let bad = !healed && dice.permille(swarm.deaf);
        let (hears, status, ms) = match dice.below(4) {
            _ if !bad => (true, Some(200), ms),
            0 => (false, None, ANSWER_MS_MAX),
            1 => (true, None, ANSWER_MS_MAX), // its answer is lost
            2 => (false, Some(503), ms),
            _ => (false, Some(302), ms),
        };
        if hears {
            *self.heard.entry(event.to_owned()).or_default() += 1;
        }
        Fate { status, ms }
    }

    /// What is wrong when all is over: an event that was not heard, a delivery without an event or in two rows.
    pub(super) fn judge(&self, events: &[EventRow], deliveries: &[DeliveryRow]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut told: BTreeMap<&str, u32> = BTreeMap::new();
        for delivery in deliveries {
            *told.entry(&delivery.event).or_default() += 1;
            if delivery.status != DeliveryStatus::Succeeded {
                wrong.push(format!(
                    "the webhook of {} ({}) is {:?}",
                    delivery.event, delivery.name, delivery.status
                ));
            }
        }
        let mut all = BTreeSet::new();
        for row in events {
            let Ok(named) = Named::of(row) else { continue };
            all.extend(event_ids(row.order, &named));
        }
        for event in &all {
            match told.get(event.as_str()) {
                Some(1) => {}
                Some(rows) => wrong.push(format!("{event} has {rows} deliveries to one endpoint")),
                None => wrong.push(format!("{event} has no delivery")),
            }
            if !self.heard.contains_key(event) {
                wrong.push(format!("{event} was never heard by the merchant's server"));
            }
        }
        let unknown = self.heard.keys().filter(|event| !all.contains(*event));
        wrong.extend(unknown.map(|event| format!("the merchant's server heard {event}, which never happened")));
        wrong
    }
}

/// All deliveries.
pub(super) fn deliveries(store: &dyn Store, tenant: Tenant, status: Option<DeliveryStatus>) -> Vec<DeliveryRow> {
    let all = DeliverySearch {
        tenant,
        endpoint: None,
        order: None,
        status,
        from: None,
        to: None,
        after: None,
        limit: u32::MAX,
    };
    at_once(store.deliveries(&all)).unwrap_or_default()
}

/// The world's clock, for what keeps a clock of its own.
pub(super) type Clock = Arc<AtomicI64>;

/// Ids from dice, in the order of time.
struct DiceIds {
    dice: Dice,
    clock: Clock,
    count: u128,
}

impl Ids for DiceIds {
    fn next_uuid(&mut self) -> uuid::Uuid {
        self.count += 1;
        let ms = u128::try_from(self.clock.load(Ordering::Relaxed)).unwrap_or(0);
        let random = u128::from(self.dice.next()) >> 2;
        uuid::Uuid::from_u128((ms << 80) | (7 << 76) | ((self.count & 0xfff) << 64) | (0b10 << 62) | random)
    }
}

/// A node's view of merchants and their endpoints.
pub(super) fn directory(store: Arc<dyn Store>, clock: &Clock, skew_ms: i64, dice: Dice) -> Arc<Directory> {
    let (at, ids) = (Arc::clone(clock), Arc::clone(clock));
    let around = Surroundings {
        clock: Box::new(move || Timestamp::from_millis(at.load(Ordering::Relaxed) + skew_ms)),
        ids: Mutex::new(Box::new(DiceIds {
            dice,
            clock: ids,
            count: 0,
        })),
    };
    at_once(Directory::load(store, around)).expect("a new connection to a simulated store has no mishaps")
}

/// A node's reader.
pub(super) fn reader(store: &Arc<MemoryStore>, directory: Arc<Directory>, rail: &'static dyn Rail) -> Arc<Reader> {
    let rails: &'static [&'static dyn Rail] = match rail.table().name {
        "stripe" => STRIPE,
        other => unreachable!("the simulated provider does not speak `{other}`"),
    };
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    Reader::new(store, directory, rails, Arc::default(), Arc::default())
}

/// A reader only asks a rail for its table; a mistaken rail has that of the right one.
static STRIPE: &[&dyn Rail] = &[&florin_rails::stripe::Stripe];

/// The merchant's server, as the directory knows it: it wants everything, from the beginning of time.
pub(super) fn endpoint(tenant: Tenant) -> Endpoint {
    Endpoint {
        id: EndpointId::from_uuid(uuid::Uuid::from_u128(3)),
        tenant,
        url: "http://merchant.test/hooks".into(),
        events: Vec::new(),
        description: None,
        dialect: Dialect::Florin,
        secrets: Vec::new(),
        enabled: true,
        door: BTreeMap::new(),
        created_at: Timestamp::from_millis(0),
    }
}
