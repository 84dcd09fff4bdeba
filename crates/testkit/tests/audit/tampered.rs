//! Hands and disks that changed what was stored: found by name of the law, and the order takes no command any more.

use std::path::Path;

use florin_core::id::OrderId;
use florin_core::order::CaptureAt;
use florin_services::ask::{Denied, What};
use florin_services::audit::Law;

use crate::world::{Place, World, answered, word};

/// Two sales and a hold, at rest and folded; the engine is gone.
async fn stored() -> (World, Vec<OrderId>) {
    let world = World::new(Place::Sqlite).await;
    let engine = world.engine().await;
    let mut orders = vec![world.sale(&engine, "one").await, world.sale(&engine, "two").await];
    let held = answered(
        engine
            .ask(world.create("held", 5_000, CaptureAt::Later, Some("card_visa")))
            .await,
    );
    orders.push(held.order.order.id);
    engine.halt().await;
    world.fold().await;
    assert_eq!(world.audit().await.0, []);
    (world, orders)
}

fn sql(file: &Path, statements: &str) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.execute_batch(statements).unwrap();
    assert!(connection.changes() > 0, "nothing was changed by {statements}");
}

/// An order's id as SQLite writes it.
fn hex(order: OrderId) -> String {
    format!("x'{}'", order.uuid().simple())
}

fn laws(findings: &[florin_services::audit::Finding]) -> Vec<Law> {
    let mut laws: Vec<Law> = findings.iter().map(|finding| finding.law).collect();
    laws.sort_unstable();
    laws.dedup();
    laws
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_in_a_table_is_found_by_the_law_that_it_breaks() {
    let plants: [(Law, &str); 17] = [
        (
            Law::Chain,
            "update events set body = substr(body, 1, length(body) - 7) where order_id = ONE and version > 2",
        ),
        (
            Law::Chain,
            "update events set postings = replace(postings, '1099', '1098') where order_id = ONE and postings is not null",
        ),
        (
            Law::Chain,
            "update events set news = replace(news, 'order.captured', 'order.failed') where order_id = ONE and news like '%order.captured%'",
        ),
        (
            Law::Chain,
            "update events set hash = randomblob(32) where order_id = ONE and version > 2",
        ),
        (Law::Chain, "update orders set chain = randomblob(32) where id = ONE"),
        (Law::Versions, "delete from events where order_id = ONE and version > 2"),
        (Law::Versions, "update orders set version = version + 1 where id = ONE"),
        (
            Law::Snapshot,
            "update orders set state = replace(state, '{\"rows\":[1', '{\"rows\":[2') where id = ONE",
        ),
        (
            Law::Snapshot,
            "update events set time = time + 86400000 where order_id = ONE and version > 2",
        ),
        (Law::Stream, "delete from orders where id = ONE"),
        (Law::Due, "update orders set due = null where id = HELD"),
        (
            Law::Balances,
            "update balances set posted = '1' where account = 'merchant'",
        ),
        (
            Law::Trial,
            "update balances set posted = '1' where account = 'merchant'",
        ),
        (Law::Lists, "update listings set status = 'failed' where order_id = ONE"),
        (Law::References, "delete from refs where order_id = ONE"),
        (Law::Feed, "delete from feed where seq = (select max(seq) from feed)"),
        (
            Law::Feed,
            "update feed set money = 0 where seq = (select max(seq) from feed where money = 1)",
        ),
    ];
    let (mut world, orders) = stored().await;
    let copy = world.folder.0.join("healthy.db");
    world.store.backup(&copy).await.unwrap();
    for (number, (law, statement)) in plants.into_iter().enumerate() {
        let file = world.folder.0.join(format!("tampered-{number}.db"));
        std::fs::copy(&copy, &file).unwrap();
        sql(
            &file,
            &statement
                .replace("ONE", &hex(orders[0]))
                .replace("HELD", &hex(orders[2])),
        );
        world.reopen_at(file).await;
        let (findings, summary) = world.audit().await;
        assert!(laws(&findings).contains(&law), "{statement}: {findings:#?}");
        assert_eq!(summary.breaches(), findings.len() as u64);
        let innocent = orders[1];
        assert!(
            findings.iter().all(|finding| finding.order != Some(innocent)),
            "{statement}: {findings:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orders_with_one_reference_are_found() {
    let (mut world, orders) = stored().await;
    let file = world.file();
    world.close();
    let twice = format!("update orders set reference = 'one' where id = {}", hex(orders[1]));
    sql(&file, &twice);
    world.reopen().await;
    assert!(laws(&world.audit().await.0).contains(&Law::Names));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_issuer_did_without_us_is_found() {
    let (world, _) = stored().await;
    assert_eq!(world.is_clean().await.theirs, 3);
    // Somebody charges a card beside us, and gives money back of a payment of ours.
    let client = Client::new(&world.control);
    let body =
        r#"{"key":"somebody","card":"card_visa","amount":700,"currency":"EUR","capture":true,"three_ds":"none"}"#;
    client.post("/authorizations", body).await;
    client
        .post("/authorizations/iss_000001/refund", r#"{"key":"a-hand","amount":99}"#)
        .await;
    let (findings, _) = world.witnessed().await;
    assert_eq!(laws(&findings), [Law::Issuer]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
}

/// The least HTTP that posts JSON.
struct Client(String);

impl Client {
    fn new(base: &str) -> Self {
        Self(base.strip_prefix("http://").unwrap().to_owned())
    }

    async fn post(&self, path: &str, body: &str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(&self.0).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.0\r\nhost: issuer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(
            reply.starts_with("HTTP/1.0 200") || reply.starts_with("HTTP/1.1 200"),
            "{reply}"
        );
    }
}

/// Flips one bit of a text inside a database file: wherever its bytes stand, at the place where the query then reads another text.
fn flip(file: &Path, query: &str, bit: u8) {
    // A long text may go on in another page; a piece of it lies in one.
    const PIECE: usize = 24;
    let read = || -> Vec<u8> {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.pragma_update(None, "journal_mode", "delete").unwrap();
        let bytes = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes()?.to_vec());
        connection.query_row(query, [], bytes).unwrap()
    };
    let text = read();
    let mut bytes = std::fs::read(file).unwrap();
    let piece = &text[text.len() / 2..text.len().min(text.len() / 2 + PIECE)];
    let windows = bytes.windows(piece.len()).enumerate();
    let places: Vec<usize> = windows
        .filter(|(_, window)| *window == piece)
        .map(|(at, _)| at)
        .collect();
    for at in places {
        bytes[at + piece.len() / 2] ^= 1 << bit;
        std::fs::write(file, &bytes).unwrap();
        if read() != text {
            return;
        }
        bytes[at + piece.len() / 2] ^= 1 << bit;
    }
    panic!("no piece of it stands in the file: {query}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_11_a_flipped_bit_in_the_file_freezes_its_order_and_the_rest_is_served() {
    let (mut world, orders) = stored().await;
    let copy = world.folder.0.join("healthy.db");
    world.store.backup(&copy).await.unwrap();
    let damaged = orders[0];
    let of = |table: &str, column: &str, and: &str| {
        let id = if table == "orders" { "id" } else { "order_id" };
        format!(
            "select {column} from {table} where {id} = {} {and} limit 1",
            hex(damaged)
        )
    };
    let targets = [
        of("events", "body", "and version > 2"),
        of("events", "postings", "and postings is not null"),
        of("events", "news", "and news is not null"),
        of("orders", "state", ""),
    ];
    // A low bit makes another letter of it, the highest one no letter at all.
    for (number, (target, bit)) in targets.iter().flat_map(|target| [(target, 0), (target, 7)]).enumerate() {
        let file = world.folder.0.join(format!("flipped-{number}.db"));
        std::fs::copy(&copy, &file).unwrap();
        flip(&file, target, bit);
        world.reopen_at(file).await;
        let engine = world.engine().await;
        for _ in 0..2 {
            let shown = engine.view(world.tenant, damaged).await;
            assert!(matches!(shown, Err(Denied::Damaged)), "bit {bit}, {target}: {shown:?}");
            let refund = What::Refund {
                order: damaged,
                amount: None,
            };
            let asked = engine.ask(world.ask(&format!("refund {number}"), refund)).await;
            assert!(matches!(asked, Err(Denied::Damaged)), "bit {bit}, {target}: {asked:?}");
        }
        assert_eq!(engine.damaged().len(), 1, "bit {bit}, {target}");
        assert_eq!(word(&engine.view(world.tenant, orders[1]).await.unwrap()), "captured");
        let refund = What::Refund {
            order: orders[1],
            amount: Some(crate::world::eur(99)),
        };
        let refunded = answered(engine.ask(world.ask("refund of a neighbour", refund)).await);
        assert_eq!(word(&refunded.order), "partially_refunded", "bit {bit}, {target}");
        engine.halt().await;
        world.fold().await;
        let (findings, _) = world.audit().await;
        // Of no other order; balances are off by what does not read any more.
        assert!(
            findings
                .iter()
                .all(|finding| finding.order.is_none_or(|order| order == damaged)),
            "bit {bit}, {target}: {findings:#?}"
        );
        let expected = if target.contains("orders") {
            Law::Snapshot
        } else {
            Law::Chain
        };
        assert!(
            laws(&findings).contains(&expected),
            "bit {bit}, {target}: {findings:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_11_a_damaged_order_that_is_due_keeps_nobody_waiting() {
    let (mut world, orders) = stored().await;
    let file = world.file();
    world.close();
    // The hold's own moment comes, and its snapshot is damaged.
    sql(
        &file,
        &format!("update orders set due = 1 where id = {}", hex(orders[2])),
    );
    flip(
        &file,
        &format!("select state from orders where id = {}", hex(orders[2])),
        7,
    );
    world.reopen().await;
    let engine = world.engine().await;
    let waits = answered(engine.ask(world.create("waits", 100, CaptureAt::Once, None)).await);
    world.clock.pass(25 * 3_600);
    world
        .until(&engine, waits.order.order.id, |view| word(view) == "expired")
        .await;
    assert!(engine.damaged().iter().any(|(order, _)| *order == orders[2]));
    engine.halt().await;
}
