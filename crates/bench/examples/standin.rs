//! Drives the bench without the product: the same program plays the roles of the bench and a server that keeps nothing.
//!
//! ```text
//! cargo run --release -p florin-bench --example standin -- --quick
//! ```
//!
//! What it prints for this server is what HTTP, the stand-in provider and the load generator cost by themselves: a rate
//! that no server with a database can pass on this machine.

use std::cell::Cell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as _, FromArgMatches as _};
use florin_bench::http1::{Connection, address_of, read_head};
use florin_bench::{Options, Output, ROLES, main_of_role, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(role) if ROLES.contains(&role) => main_of_role(role),
        Some("serve") => serve(&arguments[2..]),
        _ => {
            let json = clap::Arg::new("json")
                .long("json")
                .action(clap::ArgAction::SetTrue)
                .help("Print one JSON object");
            let matches = Options::augment_args(clap::Command::new("standin"))
                .arg(json)
                .get_matches();
            let output = if matches.get_flag("json") {
                Output::Json
            } else {
                Output::Table
            };
            run(&Options::from_arg_matches(&matches)?, &std::env::current_exe()?, output)
        }
    }
}

/// What `florin serve` does, without keeping anything.
fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let provider = address_of(&value("--bench-provider").context("--bench-provider is missing")?)?;
    let merchants: usize = value("--bench-merchants")
        .context("--bench-merchants is missing")?
        .parse()?;
    let data = PathBuf::from(value("--data").context("--data is missing")?);
    std::fs::write(data.join("arguments"), arguments.join("\n"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let keys: Vec<String> = (0..merchants)
            .map(|merchant| format!("sk_test_{merchant:04}"))
            .collect();
        let api = format!("http://{}", listener.local_addr()?);
        let checkpoint = if value("--database").is_none() {
            Some("nothing is kept")
        } else {
            None
        };
        let ready = serde_json::json!({ "api": api, "admin": api, "keys": keys, "checkpoint": checkpoint });
        writeln!(std::io::stdout(), "{ready}")?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(async move {
                let _ended = talk(stream, provider).await;
            });
        }
    })
}

thread_local! {
    static ORDERS: Cell<u64> = const { Cell::new(0) };
}

async fn talk(mut stream: TcpStream, provider: SocketAddr) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut heard = Vec::with_capacity(16_384);
    let mut to_provider = None;
    loop {
        let Some(head) = read_head(&heard)? else {
            if stream.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let end = head.body_start + head.body_bytes.unwrap_or_default();
        while heard.len() < end {
            stream.read_buf(&mut heard).await?;
        }
        let body = &heard[head.body_start..end];
        let answer = if heard.starts_with(b"POST /v1/orders ") {
            let order: serde_json::Value = serde_json::from_slice(body)?;
            let status = if order["confirm"] == true {
                if to_provider.is_none() {
                    to_provider = Some(Connection::open(provider).await?);
                }
                charge(to_provider.as_mut().context("just opened")?, &order["amount"]).await?;
                "captured"
            } else {
                "created"
            };
            let number = ORDERS.replace(ORDERS.get() + 1);
            let pad = "x".repeat(560);
            format!(r#"{{"id":"ord_{number:026}","payment_order_status":"{status}","note":"{pad}"}}"#)
        } else if heard.starts_with(b"GET /metrics ") {
            format!("florin_reader_rows_total {}\n", ORDERS.get())
        } else {
            r#"{"data":[],"has_more":false}"#.to_owned()
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).await?;
        heard.drain(..end);
    }
}

async fn charge(provider: &mut Connection, amount: &serde_json::Value) -> anyhow::Result<()> {
    let form = format!("amount={amount}&currency=eur&confirm=true&payment_method=pm_card_visa&metadata[order]=ord_1");
    let request = format!(
        "POST /v1/payment_intents HTTP/1.1\r\nHost: p\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = provider.exchange(request.as_bytes()).await?;
    let intent: serde_json::Value = serde_json::from_slice(answer.body)?;
    anyhow::ensure!(intent["status"] == "succeeded", "{intent}");
    Ok(())
}
