//! Stories of orders, told by the machine or against it, written down as a lane would; then audited.

mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::decline::{Code, Decline};
use florin_core::event::Event;
use florin_core::id::{ConnectionId, EndpointId, Ids, MerchantId, OrderId};
use florin_core::ledger::between;
use florin_core::money::{Currency, Money};
use florin_core::order::{
    Abilities, CaptureAt, Command, Fact, HoldEnd, Initiator, Order, Plan, Says, StepKind, StepName, Terms,
};
use florin_core::rail::Instrument;
use florin_core::status;
use florin_store::memory::{Disk, MemoryStore};
use florin_store::{
    BOOKS, BalanceRow, Batch, Cursor, DeliveryRow, DeliveryStatus, EventRow, Fold, Hash, IdemKey, ListingRow, Marks,
    Mode, OrderRow, Outcome, ProviderRef, Store, Tenant,
};
use uuid::Uuid;

use super::*;
use crate::chain;
use crate::directory::{Directory, Surroundings};
use crate::snapshot::{self, Learned, Named};
use crate::view::{Details, View};
use crate::work::{Entry, Place};

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn tenant() -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        mode: Mode::Test,
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number)
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

/// One order, and the rows that it leaves.
#[derive(Clone)]
struct Story {
    order: Order,
    now: Timestamp,
    rows: Vec<EventRow>,
    chain: Hash,
    events: Vec<(Order, Event)>,
    learned: Learned,
    memos: BTreeMap<u8, florin_core::rail::Memo>,
    reference: String,
}

impl Story {
    fn open(number: u128, capture: CaptureAt) -> Self {
        let mut terms = Terms::payment(eur(1_000), T.plus_seconds(86_400));
        terms.capture = capture;
        let (order, event) = Order::open(OrderId::from_uuid(id(number)), terms, T);
        let mut story = Self {
            order: order.clone(),
            now: T,
            rows: Vec::new(),
            chain: chain::START,
            events: vec![(order, event)],
            learned: Learned::new(),
            memos: BTreeMap::new(),
            reference: format!("A-{number}"),
        };
        story.row();
        story
    }

    fn plan(&self) -> Plan {
        Plan {
            channel: "api".into(),
            method: "card_visa".into(),
            instrument: Instrument::Stored("card_visa".into()),
            connection: ConnectionId::from_uuid(id(9)),
            rail: "issuer".into(),
            amount: self.order.due,
            extras: None,
            initiator: Initiator::Payer,
            can: Abilities {
                sale: true,
                cancel: true,
                reverse: true,
                captures: true,
                ..Abilities::default()
            },
        }
    }

    /// What the machine makes of a command, with all that it owes.
    fn command(&mut self, command: Command) -> &mut Self {
        let event = self.order.decide(&command, self.now).expect("the rules allow it");
        self.forced(event.expect("something happens"));
        while let Some(owed) = self.order.owed() {
            let event = self.order.decide(&owed, self.now).expect("what is owed is allowed");
            self.forced(event.expect("what is owed happens"));
        }
        self
    }

    /// An event, whatever the rules say.
    fn forced(&mut self, event: Event) -> &mut Self {
        let before = self.order.clone();
        self.order.apply(&event, self.now);
        self.events.push((before, event));
        self
    }

    fn start(&mut self) -> &mut Self {
        let (number, plan) = (self.order.next_attempt(), self.plan().into());
        self.command(Command::Start { number, plan })
    }

    fn says(&mut self, step: StepName, says: Says) -> &mut Self {
        self.command(Command::Fact(Fact::Answer { step, says, note: None }))
    }

    fn approved(&mut self, step: StepName, minor: i64, held: bool) -> &mut Self {
        let says = Says::Approved {
            money: eur(minor),
            held: held.then_some(HoldEnd::Unknown),
            stated: true,
        };
        self.says(step, says)
    }

    fn learn(&mut self, attempt: u8, name: &str, value: &str) -> &mut Self {
        let memo = self.memos.entry(attempt).or_default();
        memo.insert(name.to_owned(), value.to_owned());
        let learned = self.learned.entry(attempt.to_string()).or_default();
        learned.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Ends a commit.
    fn row(&mut self) -> &mut Self {
        let new = self.rows.is_empty();
        let (mut postings, mut news) = (Vec::new(), Vec::new());
        let mut after = self.events[0].0.clone();
        for (before, event) in &self.events {
            let first = matches!(event, Event::Created { .. });
            after = before.clone();
            if !first {
                after.apply(event, self.now);
                postings.extend(between(before, &after, event));
            }
            let version = after.version;
            let before = (!first).then_some(before);
            news.extend(status::news(before, &after).into_iter().map(|one| Named {
                version,
                name: one.name.into(),
                part: one.part,
            }));
        }
        let events: Vec<Event> = self.events.drain(..).map(|(_, event)| event).collect();
        let text = |list: String| (list != "[]").then_some(list);
        let mut row = EventRow {
            at: Cursor::START,
            order: self.order.id,
            tenant: tenant(),
            version: after.version,
            count: events.len() as u32,
            time: self.now,
            body: snapshot::body(&events, &self.learned, new.then(Details::default).as_ref()),
            postings: text(serde_json::to_string(&postings).unwrap()),
            news: text(serde_json::to_string(&news).unwrap()),
            hash: chain::START,
        };
        self.learned.clear();
        self.seal(&mut row);
        self.rows.push(row);
        self.now = self.now.plus_seconds(1);
        self
    }

    fn seal(&mut self, row: &mut EventRow) {
        row.hash = chain::link(&self.chain, &row.body, row.postings.as_deref(), row.news.as_deref());
        self.chain = row.hash;
    }

    /// Changes rows, and hashes all of them again: as somebody would who knows how.
    fn rewritten(mut self, change: impl FnOnce(&mut Vec<EventRow>)) -> Self {
        change(&mut self.rows);
        self.chain = chain::START;
        for mut row in std::mem::take(&mut self.rows) {
            self.seal(&mut row);
            self.rows.push(row);
        }
        self
    }

    /// The order's row, with every step that is in flight in its open work.
    fn order_row(&self) -> OrderRow {
        let in_flight = self.order.in_flight();
        let entries: Vec<Entry> = in_flight
            .iter()
            .map(|open| Entry::new(open.step, Place::Held, T, 0))
            .collect();
        self.order_row_with(&entries)
    }

    fn order_row_with(&self, entries: &[Entry]) -> OrderRow {
        let view = View {
            tenant: tenant(),
            reference: self.reference.clone(),
            order: self.order.clone(),
            details: Arc::default(),
            memos: self.memos.clone(),
            steps: BTreeMap::new(),
        };
        let work = snapshot::work(entries);
        OrderRow {
            id: self.order.id,
            tenant: tenant(),
            reference: self.reference.clone(),
            key: Some(IdemKey {
                key: format!("key of {}", self.reference),
                hash: [1; 32],
                earlier: None,
            }),
            version: self.order.version,
            state: snapshot::state(&view, &[T; 5], &self.chain, work.as_deref()),
            chain: self.chain,
            due: snapshot::due(&self.order, entries),
            work,
            fence: 0,
            lease: None,
            created_at: T,
        }
    }

    fn batch(&self) -> Batch {
        Batch {
            new: vec![self.order_row()],
            events: self.rows.clone(),
            ..Batch::default()
        }
    }
}

/// A sale: started, approved and taken, refunded in part.
fn sale(number: u128) -> Story {
    let mut story = Story::open(number, CaptureAt::Once);
    story.start().row();
    story
        .learn(1, "authorization", &format!("iss_{number:06}"))
        .approved(StepName::authorize(1), 1_000, false)
        .row();
    let refund = Command::Refund {
        index: 0,
        amount: eur(400),
    };
    story.command(refund).row();
    story.approved(StepName::new(1, StepKind::Refund, 0), 400, false).row();
    story
}

/// A hold that waits to be captured.
fn hold(number: u128) -> Story {
    let mut story = Story::open(number, CaptureAt::Later);
    story.start().row();
    story.approved(StepName::authorize(1), 1_000, true).row();
    story
}

async fn store_of(batches: &[Batch]) -> MemoryStore {
    let store = MemoryStore::open(Disk::default(), T);
    for batch in batches {
        assert_eq!(store.commit(batch).await, Ok(Outcome::Done));
    }
    store
}

/// Lets the real reader fold what is there.
async fn fold(store: MemoryStore) -> MemoryStore {
    struct Counting(u128);
    impl Ids for Counting {
        fn next_uuid(&mut self) -> Uuid {
            self.0 += 1;
            id(self.0)
        }
    }
    let shared: Arc<dyn Store> = Arc::new(store.another());
    let around = Surroundings {
        clock: Box::new(|| T),
        ids: std::sync::Mutex::new(Box::new(Counting(1 << 40))),
    };
    let directory = Directory::load(Arc::clone(&shared), around).await.unwrap();
    let reader = crate::reader::Reader::new(shared, directory, florin_rails::ALL, Arc::default(), Arc::default());
    reader.catch_up().await.unwrap();
    store
}

async fn findings_at(store: &MemoryStore, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let when = When {
        now: Some(now),
        at: None,
    };
    let summary = audit(
        store,
        florin_rails::ALL,
        when,
        &mut |finding| findings.push(finding),
        &mut |_| {},
    )
    .await
    .unwrap();
    assert_eq!(summary.breaches(), findings.len() as u64);
    findings
}

async fn findings(store: &MemoryStore) -> Vec<Finding> {
    findings_at(store, T.plus_seconds(10)).await
}

/// The laws that an audit finds broken, each once.
async fn broken(batches: &[Batch]) -> Vec<Law> {
    let store = fold(store_of(batches).await).await;
    laws(&findings(&store).await)
}

fn laws(findings: &[Finding]) -> Vec<Law> {
    let mut laws: Vec<Law> = findings.iter().map(|finding| finding.law).collect();
    laws.sort_unstable();
    laws.dedup();
    laws
}

/// A healthy neighbour stands beside every breach: it is never reported.
async fn broken_beside_a_healthy_one(story: &Story) -> Vec<Law> {
    let store = fold(store_of(&[sale(500).batch(), story.batch()]).await).await;
    let findings = findings(&store).await;
    assert!(
        findings.iter().all(|finding| finding.order == Some(story.order.id)),
        "{findings:#?}"
    );
    laws(&findings)
}

#[tokio::test]
async fn healthy_orders_of_every_kind_have_no_findings() {
    let mut stray = Story::open(3, CaptureAt::Once);
    stray.start().row();
    stray.says(StepName::authorize(1), Says::Uncertain).row();
    stray.command(Command::Leave { attempt: 1 }).row();
    stray.approved(StepName::authorize(1), 1_000, false).row();
    stray
        .says(
            StepName::new(1, StepKind::Reverse, 0),
            Says::Released { moved: eur(1_000) },
        )
        .row();
    let mut declined = Story::open(4, CaptureAt::Once);
    declined.start().row();
    let no = Says::Declined(Decline::new(Code::InsufficientFunds));
    declined.says(StepName::authorize(1), no).row();
    declined.start().row();
    let store = fold(store_of(&[sale(1).batch(), hold(2).batch(), stray.batch(), declined.batch()]).await).await;
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn a_body_that_does_not_read_is_found() {
    let story = sale(1).rewritten(|rows| rows[2].body = "{\"e\":[".to_owned());
    // Its reader passes over the row, so the books lack its postings too.
    assert!(broken(&[story.batch()]).await.contains(&Law::Readable));
}

#[tokio::test]
async fn a_flipped_bit_in_body_postings_or_news_is_found_by_the_chain() {
    for column in ["body", "postings", "news"] {
        let mut story = sale(1);
        let row = &mut story.rows[2];
        let text = match column {
            "body" => &mut row.body,
            "postings" => row.postings.as_mut().unwrap(),
            _ => row.news.as_mut().unwrap(),
        };
        *text = flipped(text);
        assert!(
            broken_beside_a_healthy_one(&story).await.contains(&Law::Chain),
            "{column}"
        );
    }
}

#[tokio::test]
async fn a_row_that_does_not_stand_on_its_newest_event_is_found() {
    let mut story = sale(1);
    story.chain[7] ^= 1;
    let laws = broken_beside_a_healthy_one(&story).await;
    assert!(laws.contains(&Law::Chain), "{laws:?}");
}

#[tokio::test]
async fn a_dropped_event_row_is_found_wherever_it_stood() {
    for dropped in 0..4 {
        let mut story = sale(1);
        story.rows.remove(dropped);
        let laws = broken(&[story.batch()]).await;
        assert!(laws.contains(&Law::Versions), "row {dropped}: {laws:?}");
    }
}

#[tokio::test]
async fn an_event_row_of_another_tenant_is_found() {
    let mut story = sale(1);
    story.rows[1].tenant.mode = Mode::Live;
    assert!(broken(&[story.batch()]).await.contains(&Law::Tenant));
}

#[tokio::test]
async fn a_snapshot_that_its_events_do_not_make_is_found() {
    let mut story = sale(1);
    // Written with its sum, by a hand that knows how: only the fold tells.
    if let florin_core::order::Phase::Captured(attempt) = &mut story.order.phase {
        attempt.charge.sold = 999_999;
    }
    let store = fold(store_of(&[story.batch()]).await).await;
    let findings = findings(&store).await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.law == Law::Snapshot && finding.what.contains("sold` is 999999")),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_snapshot_from_before_steps_said_when_they_were_asked_for_is_no_damage() {
    let mut story = sale(1);
    if let florin_core::order::Phase::Captured(attempt) = &mut story.order.phase {
        attempt.charge.refunds[0].asked_at = Timestamp::default();
    }
    let row = story.order_row();
    assert!(
        row.state.contains("refunds") && !row.state.contains("asked_at"),
        "{}",
        row.state
    );
    let (view, _) = snapshot::read(&row, &story.rows).unwrap();
    assert!(story.rows[3].body.contains("step_started"), "{}", story.rows[3].body);
    assert_eq!(status::refunds(&view.order)[0].asked_at, story.rows[3].time);
    let store = fold(store_of(&[story.batch()]).await).await;
    assert!(findings(&store).await.is_empty());
}

#[tokio::test]
async fn a_snapshot_from_before_an_end_said_when_it_was_is_no_damage() {
    let mut story = Story::open(1, CaptureAt::Once);
    for _ in 0..snapshot::TOLD_ROWS_MAX {
        story.forced(Event::Described).row();
    }
    story.command(Command::Cancel).row();
    let over = story.rows.last().map(|row| row.time);
    let at = |order: &Order| {
        let florin_core::order::Phase::Ended(end) = &order.phase else {
            panic!("{:?}", order.phase)
        };
        end.at
    };
    assert_eq!(at(&story.order), over);
    if let florin_core::order::Phase::Ended(end) = &mut story.order.phase {
        end.at = None;
    }
    let (view, _) = snapshot::read(&story.order_row(), &story.rows).unwrap();
    assert_eq!(at(&view.order), over, "its events say it");
    let store = fold(store_of(&[story.batch()]).await).await;
    assert!(findings(&store).await.is_empty());
}

#[tokio::test]
async fn a_flipped_byte_in_a_snapshot_or_in_open_work_is_found() {
    let mut story = sale(1);
    story.start_again();
    for column in ["state", "work"] {
        let mut batch = story.batch();
        let row = &mut batch.new[0];
        let text = if column == "state" {
            &mut row.state
        } else {
            row.work.as_mut().unwrap()
        };
        *text = flipped(text);
        assert!(broken(&[batch]).await.contains(&Law::Snapshot), "{column}");
    }
}

/// One bit flipped, so that the text still reads: a digit becomes another.
fn flipped(text: &str) -> String {
    let at = text.rfind(|letter: char| letter.is_ascii_digit()).unwrap();
    let digit = char::from(text.as_bytes()[at] ^ 1);
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}

impl Story {
    /// Something is in flight: another refund.
    fn start_again(&mut self) {
        let refund = Command::Refund {
            index: 1,
            amount: eur(100),
        };
        self.command(refund).row();
    }
}

#[tokio::test]
async fn what_was_learned_and_is_forgotten_is_found() {
    let mut story = sale(1);
    story.memos.clear();
    assert_eq!(broken(&[story.batch()]).await, [Law::Snapshot]);
}

#[tokio::test]
async fn news_that_did_not_happen_are_found() {
    let story = sale(1).rewritten(|rows| {
        let news = rows[1].news.as_mut().unwrap();
        *news = news.replace("order.processing", "order.captured");
    });
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::News));
}

#[tokio::test]
async fn a_posting_that_is_missing_changed_or_made_up_is_found() {
    type Change = fn(&mut Vec<EventRow>);
    let changes: [(&str, Change); 3] = [
        ("missing", |rows| rows[2].postings = None),
        ("changed", |rows| {
            let postings = rows[2].postings.as_mut().unwrap();
            *postings = postings.replace("1000", "1001");
        }),
        ("made up", |rows| rows[1].postings = rows[2].postings.clone()),
    ];
    for (name, change) in changes {
        let laws = broken_beside_a_healthy_one(&sale(1).rewritten(change)).await;
        assert!(
            laws.contains(&Law::Postings) && laws.contains(&Law::Ledger),
            "{name}: {laws:?}"
        );
    }
}

#[tokio::test]
async fn a_posting_with_one_side_is_found() {
    let story = sale(1).rewritten(|rows| {
        let postings = rows[2].postings.as_mut().unwrap();
        *postings = postings.replace("\"credit\":\"merchant\"", "\"credit\":\"receivable\"");
    });
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Ledger));
}

#[tokio::test]
async fn a_second_winner_is_found() {
    let mut story = sale(1);
    let plan = story.plan().into();
    story.forced(Event::Started { attempt: 2, plan });
    story
        .forced(Event::Approved {
            attempt: 2,
            amount: eur(1_000),
            held: None,
        })
        .row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Winner));
}

#[tokio::test]
async fn a_second_approval_that_is_called_paid_is_found() {
    let mut story = sale(1);
    story
        .forced(Event::Approved {
            attempt: 1,
            amount: eur(1_000),
            held: None,
        })
        .row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Winner));
}

#[tokio::test]
async fn a_new_attempt_while_one_is_uncertain_is_found() {
    let mut story = Story::open(1, CaptureAt::Once);
    story.start().row();
    story.says(StepName::authorize(1), Says::Uncertain).row();
    let plan = story.plan().into();
    story.forced(Event::Started { attempt: 2, plan }).row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Steps));
}

#[tokio::test]
async fn an_uncertain_attempt_that_was_given_up_is_found() {
    let mut story = Story::open(1, CaptureAt::Once);
    story.start().row();
    story.says(StepName::authorize(1), Says::Uncertain).row();
    story.forced(Event::LeftStray { attempt: 1 }).row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Steps));
}

#[tokio::test]
async fn a_success_that_is_adopted_while_it_is_being_undone_is_found() {
    let mut story = Story::open(1, CaptureAt::Once);
    story.start().row();
    story.says(StepName::authorize(1), Says::Uncertain).row();
    story.command(Command::Leave { attempt: 1 }).row();
    assert!(story.order.running().unwrap().undoing());
    story
        .forced(Event::Approved {
            attempt: 1,
            amount: eur(1_000),
            held: None,
        })
        .row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Undo));
}

#[tokio::test]
async fn a_capture_above_what_is_held_is_found() {
    let mut story = hold(1);
    story
        .forced(Event::StepStarted {
            step: StepName::new(1, StepKind::Capture, 0),
            amount: eur(1_001),
            last: true,
        })
        .row();
    assert_eq!(broken_beside_a_healthy_one(&story).await, [Law::Bounds]);
}

#[tokio::test]
async fn a_capture_that_moved_more_than_was_asked_is_found() {
    let mut story = hold(1);
    let capture = Command::Capture {
        index: 0,
        amount: eur(600),
        last: true,
    };
    story.command(capture).row();
    story
        .forced(Event::Captured {
            step: StepName::new(1, StepKind::Capture, 0),
            amount: eur(601),
        })
        .row();
    assert_eq!(broken_beside_a_healthy_one(&story).await, [Law::Bounds]);
}

#[tokio::test]
async fn a_refund_above_what_is_left_is_found() {
    let mut story = sale(1);
    story
        .forced(Event::StepStarted {
            step: StepName::new(1, StepKind::Refund, 1),
            amount: eur(601),
            last: false,
        })
        .row();
    assert_eq!(broken_beside_a_healthy_one(&story).await, [Law::Bounds]);
}

#[tokio::test]
async fn two_steps_that_change_one_hold_at_once_are_found() {
    let mut story = hold(1);
    story.command(Command::Void).row();
    story
        .forced(Event::StepStarted {
            step: StepName::new(1, StepKind::Capture, 0),
            amount: eur(100),
            last: true,
        })
        .row();
    assert!(broken_beside_a_healthy_one(&story).await.contains(&Law::Steps));
}

#[tokio::test]
async fn a_capture_that_is_owed_and_was_not_started_is_found() {
    let mut story = Story::open(1, CaptureAt::Once);
    story.start().row();
    story
        .forced(Event::Approved {
            attempt: 1,
            amount: eur(1_000),
            held: Some(HoldEnd::Unknown),
        })
        .row();
    assert_eq!(broken_beside_a_healthy_one(&story).await, [Law::Owed]);
}

#[tokio::test]
async fn a_late_success_that_nobody_sends_back_is_found() {
    let mut story = Story::open(1, CaptureAt::Once);
    story.start().row();
    story
        .says(
            StepName::authorize(1),
            Says::Declined(Decline::new(Code::InsufficientFunds)),
        )
        .row();
    story.start().row();
    story.approved(StepName::authorize(2), 1_000, false).row();
    story
        .forced(Event::Unwanted {
            attempt: 1,
            amount: eur(1_000),
            held: None,
        })
        .row();
    assert_eq!(broken_beside_a_healthy_one(&story).await, [Law::Owed, Law::Explained]);
}

#[tokio::test]
async fn a_step_in_flight_without_open_work_is_found_and_so_is_work_of_a_step_that_is_over() {
    let mut story = sale(1);
    story.start_again();
    let mut batch = story.batch();
    batch.new[0] = story.order_row_with(&[]);
    assert!(broken(&[batch]).await.contains(&Law::Work));

    let story = sale(1);
    let mut batch = story.batch();
    let over = Entry::new(StepName::new(1, StepKind::Refund, 0), Place::stuck(), T, 0);
    batch.new[0] = story.order_row_with(&[over]);
    assert!(broken(&[batch]).await.contains(&Law::Work));
}

#[tokio::test]
async fn an_open_order_that_nobody_looks_at_or_looks_at_too_late_is_found() {
    for due in [None, Some(T.plus_seconds(900_000_000))] {
        let mut batch = hold(1).batch();
        assert!(batch.new[0].due.is_some());
        batch.new[0].due = due;
        assert_eq!(broken(&[batch]).await, [Law::Due]);
    }
}

#[tokio::test]
async fn an_order_that_nobody_took_up_for_five_minutes_is_found() {
    let story = hold(1);
    let due = story.order_row().due.unwrap();
    let store = fold(store_of(&[story.batch()]).await).await;
    store.set_clock(due.plus_seconds(LATE_S + 1));
    assert_eq!(findings_at(&store, due.plus_seconds(LATE_S)).await, []);
    assert_eq!(
        laws(&findings_at(&store, due.plus_seconds(LATE_S + 1)).await),
        [Law::Late]
    );
}

#[tokio::test]
async fn events_without_their_order_are_found() {
    let mut batch = sale(1).batch();
    batch.new.clear();
    let store = fold(store_of(&[sale(2).batch(), batch]).await).await;
    let findings = findings(&store).await;
    let lost = findings
        .iter()
        .filter(|finding| finding.law == Law::Stream && finding.order == Some(OrderId::from_uuid(id(1))));
    assert_eq!(lost.count(), 1, "{findings:#?}");
}

// ---- what readers keep ------------------------------------------------------------------------------------------------------------

async fn folded(change: impl FnOnce(&mut Fold)) -> Vec<Law> {
    let store = fold(store_of(&[sale(1).batch(), hold(2).batch()]).await).await;
    let at = store.cursor(BOOKS).await.unwrap();
    let mut fold = Fold {
        reader: BOOKS.to_owned(),
        from: at,
        to: at,
        listings: Vec::new(),
        refs: Vec::new(),
        balances: Vec::new(),
        deliveries: Vec::new(),
        feed: Vec::new(),
    };
    change(&mut fold);
    assert_eq!(store.fold(fold.clone()).await, Ok(true));
    laws(&findings(&store).await)
}

fn balance(account: &str, posted: i128) -> BalanceRow {
    BalanceRow {
        tenant: tenant(),
        connection: ConnectionId::from_uuid(id(9)),
        account: account.to_owned(),
        currency: Currency::EUR,
        posted,
        pending: 0,
    }
}

#[tokio::test]
async fn a_balance_that_is_not_the_sum_of_its_postings_is_found() {
    let laws = folded(|fold| fold.balances = vec![balance("receivable", 1), balance("merchant", -1)]).await;
    assert_eq!(laws, [Law::Balances]);
}

#[tokio::test]
async fn books_that_do_not_balance_are_found() {
    let laws = folded(|fold| fold.balances = vec![balance("merchant", 1)]).await;
    assert_eq!(laws, [Law::Balances, Law::Trial]);
}

fn listing(number: u128, status: &str, attention: bool) -> ListingRow {
    ListingRow {
        order: OrderId::from_uuid(id(number)),
        tenant: tenant(),
        version: 99,
        status: status.to_owned(),
        customer: None,
        attention,
        created_at: T,
        terms: Default::default(),
        marks: Marks::NONE,
        changed_at: T,
        first: true,
    }
}

#[tokio::test]
async fn a_list_that_shows_another_status_is_found() {
    let laws = folded(|fold| fold.listings = vec![listing(1, "captured", false)]).await;
    assert_eq!(laws, [Law::Lists]);
}

#[tokio::test]
async fn a_list_that_calls_for_a_person_for_nothing_is_found() {
    let laws = folded(|fold| fold.listings = vec![listing(2, "authorized", true)]).await;
    assert_eq!(laws, [Law::Lists]);
}

#[tokio::test]
async fn a_providers_name_that_leads_to_another_order_is_found() {
    let store = store_of(&[sale(1).batch(), hold(2).batch()]).await;
    let reference = ProviderRef {
        connection: ConnectionId::from_uuid(id(9)),
        kind: "authorization".to_owned(),
        id: "iss_000001".to_owned(),
    };
    let wrong = Fold {
        reader: "somebody".to_owned(),
        from: Cursor::START,
        to: Cursor::START,
        listings: Vec::new(),
        refs: vec![(reference, OrderId::from_uuid(id(2)))],
        balances: Vec::new(),
        deliveries: Vec::new(),
        feed: Vec::new(),
    };
    assert_eq!(store.fold(wrong.clone()).await, Ok(true));
    assert_eq!(laws(&findings(&fold(store).await).await), [Law::References]);
}

#[tokio::test]
async fn a_delivery_of_an_event_that_never_happened_is_found() {
    let order = OrderId::from_uuid(id(1));
    let delivery = |number, version: u32, name: &str| DeliveryRow {
        id: florin_core::id::DeliveryId::from_uuid(id(number)),
        tenant: tenant(),
        endpoint: EndpointId::from_uuid(id(7)),
        order,
        event: format!("evt_{}{version:04}", &order.to_string()[4..]),
        name: name.to_owned(),
        status: DeliveryStatus::Succeeded,
        tries: "[]".to_owned(),
        due: None,
        created_at: T,
    };
    for (row, found) in [
        (delivery(801, 1, "order.created"), false),
        (delivery(802, 1, "order.captured"), true),
        (delivery(803, 99, "order.captured"), true),
    ] {
        let store = fold(store_of(&[sale(1).batch()]).await).await;
        store.write_deliveries(std::slice::from_ref(&row)).await.unwrap();
        let expected = if found { vec![Law::Deliveries] } else { Vec::new() };
        assert_eq!(laws(&findings(&store).await), expected, "{}", row.event);
    }
}

#[tokio::test]
async fn a_reader_that_is_behind_is_no_breach() {
    let store = store_of(&[sale(1).batch(), hold(2).batch()]).await;
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn the_trial_balance_of_a_past_moment_is_zero_and_shows_what_stood_then() {
    let store = fold(store_of(&[sale(1).batch()]).await).await;
    let at = |seconds| {
        let store = &store;
        async move {
            let when = When {
                now: Some(T.plus_seconds(10)),
                at: Some(T.plus_seconds(seconds)),
            };
            let summary = audit(store, florin_rails::ALL, when, &mut |_| {}, &mut |_| {})
                .await
                .unwrap();
            assert!(summary.is_clean());
            let account = |name: &str| -> i128 {
                let mine = summary
                    .trial
                    .iter()
                    .filter(|((_, key), _)| key.account.as_str() == name);
                mine.map(|(_, (posted, _))| *posted).sum()
            };
            (account("receivable"), account("merchant"), account("refunds_moving"))
        }
    };
    assert_eq!(at(1).await, (0, 0, 0), "nothing was paid yet");
    assert_eq!(at(2).await, (1_000, -1_000, 0), "paid");
    assert_eq!(at(3).await, (1_000, -600, -400), "a refund is on its way");
    assert_eq!(at(9).await, (600, -600, 0), "and done");
}
