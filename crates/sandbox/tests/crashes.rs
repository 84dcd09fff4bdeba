//! The issuer is the witness, so it must outlive whatever happens to its process.

mod common;

use common::{Caller, Dir, Issuer, PATIENCE, sale, settings};
use florin_sandbox::message::Trouble;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Kills of one run; the full run of the project asks for more.
const KILLS: usize = 6;

#[tokio::test]
async fn everything_that_was_answered_is_in_the_file_at_that_moment() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    let issuer = Issuer::open(settings(&path)).await;
    for number in 0..20 {
        let key = format!("k{number}");
        let (_, answer) = issuer.authorize(&sale(&key)).await;
        // What a kill would leave now: no process is told, nothing is closed.
        let copy = dir.join("copy.book");
        std::fs::copy(&path, &copy).unwrap();
        let witness = Issuer::open(settings(&copy)).await;
        let (_, found) = witness.witness(&format!("/by-key/{key}")).await;
        assert_eq!((&found["id"], &found["captured"]), (&answer["id"], &json!(1099)));
        assert_eq!(witness.authorize(&sale(&key)).await.1["replayed"], true);
        witness.close().await;
        std::fs::remove_file(&copy).unwrap();
    }
    issuer.close().await;
}

#[tokio::test]
async fn a_book_that_is_opened_again_gives_the_same_answers() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    let issuer = Issuer::open(settings(&path)).await;
    for (number, card) in ["card_visa", "card_visa_chargeDeclined", "card_threeDSecure2Required"]
        .iter()
        .enumerate()
    {
        let mut body = sale(&format!("k{number}"));
        body["card"] = json!(card);
        issuer.authorize(&body).await;
    }
    issuer
        .post("/authorizations/iss_000001/refund", &json!({"key":"r","amount":99}))
        .await
        .unwrap();
    issuer
        .post("/authorizations/iss_000002/refund", &json!({"key":"n","amount":99}))
        .await
        .unwrap();
    let paths = [
        "/book",
        "/totals",
        "/authorizations/iss_000001",
        "/by-key/r",
        "/by-key/n",
        "/by-key/k2",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(issuer.witness(path).await);
    }
    let clerk = issuer.clerk.clone();
    issuer.close().await;
    assert!(
        matches!(clerk.page(0, 1).await, Err(Trouble::Stopped(_))),
        "a closed issuer says so"
    );

    let issuer = Issuer::open(settings(&path)).await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(issuer.witness(path).await, before, "{path}");
    }
    let (_, replay) = issuer
        .post("/authorizations/iss_000001/refund", &json!({"key":"r","amount":99}))
        .await
        .unwrap();
    assert_eq!((&replay["replayed"], &replay["moved"]), (&json!(true), &json!(99)));
    assert_eq!(
        issuer.authorize(&sale("new")).await.1["id"],
        "iss_000004",
        "numbers go on"
    );
    issuer.close().await;
}

#[tokio::test]
async fn a_full_book_takes_no_more_but_answers_what_it_knows() {
    let dir = Dir::new();
    let issuer = Issuer::open(florin_sandbox::clerk::Settings {
        entries_max: 3,
        ..settings(&dir.join("b"))
    })
    .await;
    assert_eq!(issuer.authorize(&sale("k")).await.0, 200);
    let (status, answer) = issuer.authorize(&sale("k2")).await;
    assert_eq!(
        (status, &answer["error"]),
        (507, &json!("full")),
        "a sale needs two entries"
    );
    assert_eq!(
        issuer
            .post("/authorizations/iss_000001/refund", &json!({"key":"r","amount":9}))
            .await
            .unwrap()
            .0,
        200
    );
    assert_eq!(
        issuer
            .post("/authorizations/iss_000001/refund", &json!({"key":"s","amount":9}))
            .await
            .unwrap()
            .0,
        507
    );
    assert_eq!(issuer.authorize(&sale("k")).await.1["replayed"], true);
    assert_eq!(issuer.kinds().await, ["authorized", "captured", "refunded"]);
    issuer.close().await;
}

/// An issuer in a process of its own.
struct Process {
    child: Child,
    control: String,
}

impl Process {
    fn start(book: &std::path::Path) -> Process {
        let mut child = Command::new(std::env::current_exe().expect("a program has a path"))
            .args(["--exact", "serve_until_killed", "--nocapture"])
            .env("ISSUER_BOOK", book)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this very program");
        let mut lines = BufReader::new(child.stdout.take().expect("asked for above")).lines();
        let control = lines.find_map(|line| line.ok()?.split_once("control=").map(|(_, at)| at.to_owned()));
        // Keep the pipe open: a child that prints into a closed one would end by itself.
        std::thread::spawn(move || lines.for_each(drop));
        Process {
            child,
            control: format!("http://{}", control.expect("the child says where it listens")),
        }
    }

    fn kill(mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it is ours");
    }
}

/// The child of the test below; without its environment variable it is nothing.
#[tokio::test]
async fn serve_until_killed() {
    let Ok(book) = std::env::var("ISSUER_BOOK") else { return };
    let issuer = Issuer::open(settings(std::path::Path::new(&book))).await;
    // By hand: what is printed by the macro would be caught by the test runner.
    writeln!(std::io::stdout(), "\ncontrol={}", issuer.control).unwrap();
    tokio::time::sleep(PATIENCE * 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_kill_9_under_load_loses_nothing_that_was_answered_and_repeats_make_nothing_twice() {
    let dir = Dir::new();
    let path = dir.join("issuer.book");
    let mut answered: Vec<String> = Vec::new();
    let mut asked = 0;
    for round in 0..KILLS {
        let process = Process::start(&path);
        let calls: Vec<_> = (0..8)
            .map(|lane| {
                let (caller, url) = (Caller::new(), format!("{}/authorizations", process.control));
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for number in 0.. {
                        let key = format!("r{round}-l{lane}-{number}");
                        match caller.send("POST", &url, sale(&key).to_string()).await {
                            Ok(answer) => {
                                assert_eq!(answer.status, 200);
                                done.push(key);
                            }
                            // Nobody knows about this one.
                            Err(_) => return (done, number + 1),
                        }
                    }
                    unreachable!("the loop ends when the process is killed")
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 37 * round as u64)).await;
        process.kill();
        for call in calls {
            let (done, tried) = call.await.unwrap();
            answered.extend(done);
            asked += tried;
        }
    }
    assert!(
        answered.len() > KILLS * 8,
        "too little happened between the kills: {}",
        answered.len()
    );
    let issuer = Issuer::open(settings(&path)).await;
    for key in &answered {
        let (status, found) = issuer.witness(&format!("/by-key/{key}")).await;
        assert_eq!(
            (status, &found["captured"]),
            (200, &json!(1099)),
            "{key} was answered and is gone"
        );
        assert_eq!(issuer.authorize(&sale(key)).await.1["replayed"], true);
    }
    let (_, totals) = issuer.witness("/totals?limit=1").await;
    let captured = totals["currencies"]["EUR"]["captured"].as_u64().unwrap();
    assert_eq!(
        totals["currencies"]["EUR"]["authorized"].as_u64(),
        Some(captured),
        "a sale is whole or not there"
    );
    let sales = captured / 1099;
    assert!(
        (answered.len()..=asked).contains(&(sales as usize)),
        "{} ≤ {sales} ≤ {asked}",
        answered.len()
    );
    issuer.close().await;
}
