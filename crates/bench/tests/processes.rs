//! Roles, reference cluster and whole bench as processes of their own, with the stand-in program in all parts.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use florin_bench::http1::{Connection, address_of};
use florin_bench::load::{Length, Pace, Phase, Settings};
use florin_bench::psp::{self, Seen};
use florin_bench::reference::Cluster;
use florin_bench::roles::{FromLoad, LOAD, PROVIDER, RoleProcess};
use florin_bench::{Kind, Options, measure};

const PATIENCE: Duration = Duration::from_secs(20);

/// The example, which `cargo test` and `cargo nextest run` build beside the tests.
fn standin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/standin");
    assert!(
        program.is_file(),
        "{} is missing: cargo build -p florin-bench --examples",
        program.display()
    );
    program
}

fn has_postgres() -> bool {
    let there = Path::new("/usr/lib/postgresql").is_dir();
    if !there {
        eprintln!("skipped: PostgreSQL is not installed (Debian and Ubuntu: apt install postgresql)");
    }
    there
}

/// A directory on a real disk.
fn scratch(name: &str) -> PathBuf {
    Path::new("/var/tmp").join(format!("florin-bench-test-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn the_stand_in_provider_answers_counts_and_ends_with_its_input() {
    let mut provider = RoleProcess::start(&standin(), PROVIDER, &psp::Settings::default())
        .await
        .unwrap();
    let ready: psp::Ready = provider.hear(PATIENCE).await.unwrap();
    let mut connection = Connection::open(address_of(&ready.base_url).unwrap()).await.unwrap();
    let mut post = async |path: &str, body: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: p\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = connection.exchange(request.as_bytes()).await.unwrap();
        (
            answer.status,
            serde_json::from_slice::<serde_json::Value>(answer.body).unwrap_or_default(),
        )
    };
    let (status, intent) = post("/v1/payment_intents", "amount=1099&currency=eur&metadata[att]=att_7").await;
    assert_eq!(
        (status, &intent["amount"], &intent["metadata"]["att"]),
        (200, &1099.into(), &"att_7".into())
    );
    let (_, next) = post("/v1/payment_intents", "amount=1&currency=eur").await;
    assert_ne!(next["id"], intent["id"]);
    let (status, refused) = post("/v1/payment_intents", "currency=eur").await;
    assert_eq!((status, &refused["error"]["param"]), (400, &"amount".into()));
    assert_eq!(post("/v1/refunds", "").await.0, 404);
    assert_eq!(post(psp::HOOKS_PATH, "{}").await.0, 200);
    let seen: Seen = provider.end(PATIENCE).await.unwrap();
    assert_eq!(
        seen,
        Seen {
            charged: 2,
            amount: 1100,
            hooks: 1,
            refused: 2
        }
    );
}

#[tokio::test]
async fn the_load_generator_says_when_it_measures_and_then_what_it_found() {
    let mut provider = RoleProcess::start(&standin(), PROVIDER, &psp::Settings::default())
        .await
        .unwrap();
    let ready: psp::Ready = provider.hear(PATIENCE).await.unwrap();
    // The provider knows no orders: it refuses them all, which the outcome must show.
    let settings = Settings {
        base_url: ready.base_url,
        keys: vec!["sk_test_1".to_owned()],
        kind: Kind::Register,
        connections: 2,
        pace: Pace::Closed,
        length: Length::Timed {
            warm_up_ms: 50,
            measured_ms: 200,
        },
        run: "p".to_owned(),
        journal: None,
    };
    let mut load = RoleProcess::start(&standin(), LOAD, &settings).await.unwrap();
    assert_eq!(
        load.hear::<FromLoad>(PATIENCE).await.unwrap(),
        FromLoad::Phase(Phase::Measuring)
    );
    assert!(
        florin_bench::cpu::tree_cpu_us(load.pid()).is_ok(),
        "its meters can be read while it works"
    );
    assert_eq!(
        load.hear::<FromLoad>(PATIENCE).await.unwrap(),
        FromLoad::Phase(Phase::Measured)
    );
    let FromLoad::Outcome(outcome) = load.hear(PATIENCE).await.unwrap() else {
        panic!("no outcome")
    };
    assert_eq!(outcome.finished, 0);
    assert!(
        outcome.unexpected > 0 && outcome.by_status.contains_key(&404),
        "{outcome:?}"
    );
    provider.end::<Seen>(PATIENCE).await.unwrap();
}

#[test]
fn a_throw_away_cluster_runs_pgbench_and_leaves_no_process_behind() {
    if !has_postgres() {
        return;
    }
    let directory = scratch("cluster");
    let mut cluster = Cluster::start(&directory).unwrap();
    let pid = cluster.pid().unwrap();
    let url = cluster.create_database("shop").unwrap();
    assert!(url.starts_with("postgres:///shop?host=/var/tmp/"), "{url}");
    assert!(cluster.create_database("shop").is_err(), "there is one of that name");
    assert!(cluster.pgbench(1).unwrap() > 1.0);
    assert!(florin_bench::cpu::tree_cpu_us(pid).unwrap() > 0);
    cluster.stop().unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_whole_bench_measures_a_server_and_removes_what_it_made() {
    if !has_postgres() {
        return;
    }
    let base = scratch("whole");
    std::fs::create_dir_all(&base).unwrap();
    let options = Options {
        quick: true,
        only: ["sale_sqlite_64", "sale_postgres_64", "half_postgres", "single"]
            .map(str::to_owned)
            .to_vec(),
        dir: Some(base.clone()),
        ..Options::default()
    };
    let report = measure(&options, &standin()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for name in ["sale_sqlite_64", "sale_sqlite_64_webhook", "sale_postgres_64"] {
        assert!(json["ratios"][name].as_f64().unwrap() > 0.0, "{name} in {json}");
        let figure = &json["figures"][name];
        assert!(figure["cpu_server_us"].as_f64().unwrap() > 0.0, "{name} in {json}");
        assert!(figure["latency"]["p99_us"].as_u64().unwrap() > 0, "{name} in {json}");
        assert!(
            figure["folded_rows"].as_f64().unwrap() > 0.5,
            "{name} in {json}: a row an order"
        );
    }
    assert_eq!(json["checkpoint"]["sale_sqlite_64"], "nothing is kept");
    assert!(json["ratios"].get("register_sqlite").is_none(), "not asked for");
    assert!(json["figures"]["single_postgres"]["bare_ms"].as_f64().unwrap() > 0.0);
    assert!(json["bounds"]["half_p99_ms_postgres"].as_f64().unwrap() > 0.0);
    assert!(report.to_string().contains("sale_postgres_64"));
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0, "everything is removed");
    std::fs::remove_dir(&base).unwrap();
}

#[test]
fn an_interrupted_bench_stops_and_removes_all_that_it_started() {
    if !has_postgres() {
        return;
    }
    let base = scratch("interrupted");
    std::fs::create_dir_all(&base).unwrap();
    let mut bench = std::process::Command::new(standin())
        .args(["--quick", "--only", "memory", "--dir"])
        .arg(&base)
        .spawn()
        .unwrap();
    // The cluster, the load generator and the server name the directory, or each other, on their command lines.
    let started = || running_with(&base.display().to_string());
    wait_until("the measured server runs", || {
        started().iter().any(|line| line.contains(" serve "))
    });
    let signal = std::process::Command::new("kill")
        .args(["-TERM", &bench.id().to_string()])
        .status()
        .unwrap();
    assert!(signal.success());
    assert!(!bench.wait().unwrap().success(), "an interrupted bench has no figures");
    wait_until("nothing runs any more", || started().is_empty());
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0, "everything is removed");
    std::fs::remove_dir(&base).unwrap();
}

/// Command lines of processes that name `text`.
fn running_with(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
