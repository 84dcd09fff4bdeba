//! The load generator against servers that behave, stall, refuse and vanish.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use florin_bench::Kind;
use florin_bench::http1::read_head;
use florin_bench::journal::{self, Fate};
use florin_bench::load::{Length, Outcome, Pace, Phase, Settings, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Answers a request body, or hangs up.
type Answer = Rc<dyn Fn(&str) -> Option<(u16, String)>>;

const CAPTURED: &str = r#"{"payment_order_status":"captured"}"#;

fn settings(length: Length) -> Settings {
    Settings {
        base_url: String::new(),
        keys: vec!["sk_test_a".to_owned(), "sk_test_b".to_owned()],
        kind: Kind::Sale,
        connections: 4,
        pace: Pace::Closed,
        length,
        run: "t".to_owned(),
        journal: None,
    }
}

/// Runs a load against a server on the same thread.
fn against(answer: Answer, settings: Settings) -> (Outcome, Vec<Phase>) {
    alongside(answer, |base_url| async move {
        let phases = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&phases);
        let outcome = run(&Settings { base_url, ..settings }, move |phase| {
            heard.borrow_mut().push(phase)
        })
        .await;
        (outcome.expect("the server listens"), phases.take())
    })
}

fn alongside<T, F: Future<Output = T>>(answer: Answer, work: impl FnOnce(String) -> F) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(talk(stream, Rc::clone(&answer)));
            }
        });
        work(base_url).await
    })
}

async fn talk(mut stream: TcpStream, answer: Answer) {
    let mut heard = Vec::new();
    loop {
        let Some(head) = read_head(&heard).unwrap() else {
            if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let end = head.body_start + head.body_bytes.unwrap_or(0);
        while heard.len() < end {
            stream.read_buf(&mut heard).await.unwrap();
        }
        let Some((status, body)) = answer(std::str::from_utf8(&heard[head.body_start..end]).unwrap()) else {
            return;
        };
        let whole = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(whole.as_bytes()).await.is_err() {
            return;
        }
        heard.drain(..end);
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("florin-bench-load-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn every_request_is_sent_once_and_every_good_answer_is_counted() {
    let asked = Rc::new(Cell::new(0_u64));
    let counted = Rc::clone(&asked);
    let answer: Answer = Rc::new(move |_| {
        counted.set(counted.get() + 1);
        Some((201, CAPTURED.to_owned()))
    });
    let (outcome, phases) = against(answer, settings(Length::Requests(1000)));
    assert_eq!(
        (outcome.finished, outcome.unexpected, outcome.lost, asked.get()),
        (1000, 0, 0, 1000)
    );
    assert_eq!(outcome.by_status, [(201, 1000)].into());
    assert_eq!(phases, [Phase::Measuring, Phase::Measured]);
    assert!(outcome.latency.p50_us <= outcome.latency.p99_us && outcome.latency.p99_us <= outcome.latency.max_us);
    assert!(outcome.per_second() > 0.0);
}

#[test]
fn an_answer_that_is_not_captured_is_no_sale() {
    let turn = Cell::new(0);
    let answer: Answer = Rc::new(move |_| {
        turn.set(turn.get() + 1);
        Some(match turn.get() % 4 {
            0 => (201, CAPTURED.to_owned()),
            1 => (202, r#"{"payment_order_status":"processing"}"#.to_owned()),
            2 => (503, r#"{"code":"overloaded"}"#.to_owned()),
            _ => (201, r#"{"payment_order_status":"failed"}"#.to_owned()),
        })
    });
    let (outcome, _) = against(answer, settings(Length::Requests(400)));
    assert_eq!((outcome.finished, outcome.unexpected), (100, 300));
    assert_eq!(outcome.by_status, [(201, 200), (202, 100), (503, 100)].into());
    let first = outcome.first_unexpected.unwrap();
    assert!(first.contains("processing"), "{first}");
}

#[test]
fn a_good_answer_is_found_wherever_it_says_so() {
    let turn = Cell::new(0);
    let answer: Answer = Rc::new(move |_| {
        turn.set(turn.get() + 1);
        Some((
            200,
            format!(r#"{{"pad":"{}",{}"#, "x".repeat(turn.get() % 7), &CAPTURED[1..]),
        ))
    });
    let (outcome, _) = against(answer, settings(Length::Requests(100)));
    assert_eq!((outcome.finished, outcome.unexpected), (100, 0));
}

#[test]
fn what_is_answered_while_warming_up_does_not_count() {
    let asked = Rc::new(Cell::new(0_u64));
    let counted = Rc::clone(&asked);
    let answer: Answer = Rc::new(move |_| {
        counted.set(counted.get() + 1);
        Some((200, CAPTURED.to_owned()))
    });
    let (outcome, phases) = against(
        answer,
        settings(Length::Timed {
            warm_up_ms: 200,
            measured_ms: 200,
        }),
    );
    assert_eq!(phases, [Phase::Measuring, Phase::Measured]);
    assert_eq!(outcome.measured_us, 200_000);
    assert!(
        outcome.finished > 0 && outcome.finished < asked.get(),
        "{} of {}",
        outcome.finished,
        asked.get()
    );
}

#[test]
fn latency_at_a_fixed_rate_counts_from_the_due_time() {
    const STALL: Duration = Duration::from_millis(600);
    // The server stops once, for 600 ms of a run of 1,000 ms. Only the four requests that are out then are slow to a
    // generator that waits politely; to customers, all that came in that time are.
    let stalled = Cell::new(false);
    let started = Instant::now();
    let answer: Answer = Rc::new(move |_| {
        if !stalled.get() && started.elapsed() > Duration::from_millis(100) {
            stalled.set(true);
            std::thread::sleep(STALL);
        }
        Some((200, CAPTURED.to_owned()))
    });
    let length = Length::Timed {
        warm_up_ms: 0,
        measured_ms: 1000,
    };
    let (outcome, _) = against(
        answer,
        Settings {
            pace: Pace::PerSecond(200),
            ..settings(length)
        },
    );
    assert_eq!((outcome.finished, outcome.unsent), (200, 0), "{outcome:?}");
    let Outcome { latency, .. } = outcome;
    assert!(
        latency.p50_us > 50_000,
        "half of the requests waited: p50 {} us",
        latency.p50_us
    );
    assert!(
        latency.max_us >= 500_000,
        "the first of them waited for nearly all of it: {} us",
        latency.max_us
    );
}

#[test]
fn a_fixed_rate_is_kept_and_not_exceeded() {
    let answer: Answer = Rc::new(|_| Some((200, CAPTURED.to_owned())));
    let length = Length::Timed {
        warm_up_ms: 100,
        measured_ms: 1000,
    };
    let (outcome, _) = against(
        answer,
        Settings {
            pace: Pace::PerSecond(500),
            ..settings(length)
        },
    );
    assert_eq!(
        (outcome.finished, outcome.lost, outcome.unsent),
        (500, 0, 0),
        "{outcome:?}"
    );
}

#[test]
fn a_journal_holds_every_request_and_what_became_of_it() {
    let path = scratch("journal");
    let sold = Rc::new(RefCell::new(Vec::new()));
    let counted = Rc::clone(&sold);
    // Every tenth request reaches the server and gets no answer: the connection breaks.
    let answer: Answer = Rc::new(move |body| {
        let order: serde_json::Value = serde_json::from_str(body).unwrap();
        counted
            .borrow_mut()
            .push(order["reference"].as_str().unwrap().to_owned());
        let breaks = counted.borrow().len().is_multiple_of(10);
        (!breaks).then(|| (201, CAPTURED.to_owned()))
    });
    let journal = Some(path.clone());
    let (outcome, _) = against(
        answer,
        Settings {
            journal,
            ..settings(Length::Requests(200))
        },
    );
    assert_eq!((outcome.finished, outcome.lost), (180, 20), "{outcome:?}");

    let entries = journal::read(&path).unwrap();
    let answered = entries
        .iter()
        .filter(|entry| matches!(entry.fate, Fate::Answered(201, _)))
        .count();
    let lost = entries
        .iter()
        .filter(|entry| matches!(entry.fate, Fate::Lost(_)))
        .count();
    assert_eq!((entries.len(), answered, lost), (200, 180, 20));
    let sold = sold.borrow();
    for entry in &entries {
        let reference = entry.request["reference"].as_str().unwrap();
        assert!(
            sold.iter().any(|known| known == reference),
            "{reference} was sent and arrived"
        );
        assert_eq!((entry.merchant, entry.key.len()), ((entry.number % 2) as usize, 32));
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_is_gone_from_the_start_is_an_error_and_not_a_rate_of_zero() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let port = runtime.block_on(async {
        TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    });
    let nobody = Settings {
        base_url: format!("http://127.0.0.1:{port}"),
        ..settings(Length::Requests(1))
    };
    assert!(runtime.block_on(run(&nobody, |_| {})).is_err());
}
