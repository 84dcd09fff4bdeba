//! Who sends more than is taken hears so at once, over a real connection: at one address of each kind.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::pages::is_dressed;
use crate::world::World;

/// How soon somebody hears that what they announce is too much.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How soon somebody hears it who announces nothing and sends on and on.
const SOON: Duration = Duration::from_secs(3);
/// More than any of these addresses takes.
const TOO_MUCH: usize = 10 << 20;

async fn open(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

/// The head of a request that says nothing yet of its body.
fn head(world: &World, path: &str) -> String {
    let kind = if path.starts_with("/v1/orders") {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    let key = &world.key;
    format!("POST {path} HTTP/1.1\r\nHost: door.test\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n")
}

/// The first line of the answer.
async fn answered(from: impl tokio::io::AsyncRead + Unpin, within: Duration) -> String {
    let mut line = String::new();
    let mut from = BufReader::new(from);
    let read = tokio::time::timeout(within, from.read_line(&mut line)).await;
    match read {
        Ok(Ok(_)) => line.trim_end().to_owned(),
        Ok(Err(error)) => format!("{error}"),
        Err(_) => format!("nothing within {within:?}"),
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_at_once_wherever_it_is_sent() {
    let world = World::provider().await;
    let (door, api, hooks) = (
        open(world.router()).await,
        open(florin_channels::api::router(world.doors.clone())).await,
        open(florin_channels::hooks::router(world.doors.clone())).await,
    );
    for (at, path) in [
        (door, "/v1/payment_intents"),
        (door, "/c/pay/x"),
        (door, "/c/reports"),
        (door, "/challenge/x"),
        (api, "/v1/orders"),
        (api, "/hooks/con_x"),
        (api, "/policy-reports"),
        (hooks, "/hooks/con_x"),
    ] {
        let head = head(&world, path);
        let mut socket = TcpStream::connect(at).await.expect("a connection");
        let announced = format!("{head}Content-Length: {TOO_MUCH}\r\n\r\n");
        socket.write_all(announced.as_bytes()).await.expect("sent");
        let said = answered(&mut socket, AT_ONCE).await;
        assert!(said.starts_with("HTTP/1.1 413 "), "{path}, announced: {said}");

        let (from, mut to) = TcpStream::connect(at).await.expect("a connection").into_split();
        let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        to.write_all(endless.as_bytes()).await.expect("sent");
        let sender = tokio::spawn(async move {
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            let mut sent = 0;
            while to.write_all(chunk.as_bytes()).await.is_ok() {
                sent += chunk.len();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            sent
        });
        let said = answered(from, SOON).await;
        sender.abort();
        assert!(said.starts_with("HTTP/1.1 413 "), "{path}, without an end: {said}");
    }
}

#[tokio::test]
async fn a_payer_whose_form_is_too_large_reads_so() {
    let world = World::provider().await;
    let card = "4".repeat(65 << 10);
    let page = world.press("/c/pay/x", &[("card", &card)]).await;
    assert_eq!(page.status, 413);
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.text);
    assert!(page.text.contains("This form is too large"), "{}", page.text);
    assert!(is_dressed(&world, &page).await, "{}", page.text);
}
