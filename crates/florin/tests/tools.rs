//! The tools beside a server in use, as people type them: audit, doctor, backup, restore.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const FLORIN: &str = env!("CARGO_BIN_EXE_florin");

/// `florin dev` over a folder of its own, stopped at the end.
struct Dev {
    child: Option<Child>,
    line: Value,
    folder: PathBuf,
}

impl Dev {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("florin-tools-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut dev = Self {
            child: None,
            line: Value::Null,
            folder,
        };
        dev.go();
        dev
    }

    fn go(&mut self) {
        let mut child = command(&["dev", "--json", "--port", "0", "--no-shop", "--data"])
            .arg(&self.folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.child = Some(child);
        self.line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}`: {error}"));
    }

    /// Stops it as an operator would, and waits until it has ended.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let asked = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        assert!(asked.unwrap().success());
        assert!(child.wait().unwrap().success());
    }

    fn address(&self, name: &str) -> String {
        self.line[name].as_str().unwrap().to_owned()
    }

    /// Runs a client command; answers what it printed.
    fn client(&self, arguments: &[&str]) -> Value {
        let done = self.tool(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Posts to the API with the key of `dev`; answers all that came back.
    fn call(&self, path: &str, body: &str) -> String {
        let (api, key) = (self.address("api"), self.address("key"));
        let host = api.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(host).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nidempotency-key: tools {path}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        said
    }

    /// The same; answers the object that came back.
    fn post(&self, path: &str, body: &str) -> Value {
        let said = self.call(path, body);
        let (_, body) = said.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("`{said}`: {error}"))
    }

    /// Runs a command on the data folder.
    fn tool(&self, arguments: &[&str]) -> Output {
        let mut asked = command(arguments);
        asked.arg("--json").arg("--data").arg(&self.folder);
        asked.output().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(FLORIN);
    command.args(arguments).env_clear();
    for kept in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

fn said(done: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    )
}

/// The lines of NDJSON that a tool printed.
fn lines(done: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&done.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Those that are of one kind.
fn of_kind(done: &Output, kind: &str) -> Vec<Value> {
    lines(done).into_iter().filter(|line| line["object"] == kind).collect()
}

/// Asks until all is well: readers and webhooks are a moment behind.
fn until_clean(dev: &Dev, arguments: &[&str]) -> Output {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let done = dev.tool(arguments);
        if done.status.success() || Instant::now() > deadline {
            return done;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn refuses(done: &Output, why: &str) {
    assert!(!done.status.success(), "{}", said(done));
    assert!(said(done).contains(why), "{}", said(done));
}

#[test]
fn the_tools_work_beside_a_server_in_use_and_a_copy_of_it_is_put_back() {
    let mut dev = Dev::start("life");
    let issuer = dev.address("issuer");
    let paid = dev.client(&["pay", "1099", "EUR", "--reference", "A-1"]);
    assert_eq!(paid["payment_order_status"], "captured", "{paid}");
    let order = paid["id"].as_str().unwrap().to_owned();
    dev.client(&["refund", &order, "--amount", "99"]);

    let audit = until_clean(&dev, &["audit", "--issuer", &issuer]);
    assert!(audit.status.success(), "{}", said(&audit));
    let summary = lines(&audit).pop().unwrap();
    assert_eq!(
        (summary["findings"].clone(), summary["orders"].clone()),
        (0.into(), 1.into())
    );
    let compared: Vec<_> = summary["compared"].as_array().unwrap().iter().collect();
    assert_eq!(
        compared.len(),
        2,
        "product against provider, provider against issuer: {summary}"
    );
    assert!(compared.iter().all(|one| one["attempts"] == 1), "{summary}");
    let trial = summary["trial"].as_array().unwrap();
    let posted = |row: &Value| row["posted"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(trial.iter().map(posted).sum::<i64>(), 0, "{summary}");
    let merchant: i64 = trial
        .iter()
        .filter(|row| row["account"] == "merchant")
        .map(posted)
        .sum();
    assert!(
        (-1_000..=-800).contains(&merchant),
        "1000 less the provider's fee: {summary}"
    );
    assert!(dev.tool(&["audit", "--order", &order]).status.success());
    let books = of_kind(&dev.tool(&["ledger", "export"]), "ledger_entry");
    let told: Vec<&str> = books.iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert!(told.len() >= 2, "the sale and its refund: {books:?}");
    for event in told {
        assert_eq!(dev.client(&["get", event])["id"], event, "what told of it is there");
    }

    let doctor = dev.tool(&["doctor"]);
    assert!(doctor.status.success(), "{}", said(&doctor));
    let checks = of_kind(&doctor, "check");
    let server = checks.iter().find(|check| check["check"] == "server").unwrap();
    assert!(server["says"].as_str().unwrap().contains("ready"), "{server}");

    let open = r#"{"amount":300,"currency":"EUR","reference":"A-3"}"#;
    let open = dev.post("/v1/orders", open)["id"].as_str().unwrap().to_owned();

    let copy = dev.folder.join("copy.db");
    let copied = dev.tool(&["backup", copy.to_str().unwrap()]);
    assert!(copied.status.success(), "{}", said(&copied));
    refuses(&dev.tool(&["backup", copy.to_str().unwrap()]), "is there already");
    refuses(&dev.tool(&["restore", copy.to_str().unwrap()]), "stop every server");

    let back = dev.post(&format!("/v1/orders/{open}/confirm"), r#"{"method":"card_visa"}"#);
    assert_eq!(back["payment_order_status"], "captured", "{back}");
    dev.client(&["refund", &open]);

    let lost = dev.client(&["pay", "500", "EUR", "--reference", "A-2"]);
    assert_eq!(lost["payment_order_status"], "captured");
    dev.stop();
    refuses(
        &dev.tool(&["restore", copy.to_str().unwrap()]),
        "move the old database away",
    );
    for file in ["florin.db", "florin.db-wal", "florin.db-shm"] {
        let path = dev.folder.join(file);
        if path.exists() {
            std::fs::rename(&path, dev.folder.join(format!("{file}.old"))).unwrap();
        }
    }
    let unreachable = dev.tool(&["restore", copy.to_str().unwrap()]);
    let lacks = of_kind(&unreachable, "lack");
    assert_eq!(lacks.len(), 1, "nobody is there to be asked: {}", said(&unreachable));
    assert!(lacks[0]["payment"].is_null());
    dev.go();
    let compared = dev.tool(&["restore", "--compare"]);
    let mut lacks: Vec<String> = of_kind(&compared, "lack")
        .iter()
        .map(|lack| lack["order"].to_string())
        .collect();
    lacks.sort();
    let mut named = [lost["id"].to_string(), format!("\"{open}\"")];
    named.sort();
    assert_eq!(
        lacks,
        named,
        "the payment that the copy never knew, and the one that came and went back: {}",
        said(&compared)
    );
    let issuer = dev.address("issuer");
    let audit = dev.tool(&["audit", "--issuer", &issuer]);
    let findings = of_kind(&audit, "finding");
    assert_eq!(findings.len(), 1, "{}", said(&audit));
    assert_eq!(
        (findings[0]["law"].clone(), &findings[0]["order"]),
        ("issuer".into(), &lost["id"])
    );
    dev.stop();
}

#[test]
fn the_tools_end_with_the_codes_that_the_help_prints() {
    const UNUSABLE: i32 = 2;
    const ABSENT: i32 = 4;
    const CONFLICT: i32 = 5;
    const UNREACHABLE: i32 = 6;
    let dev = Dev::start("codes");
    let ends = |arguments: &[&str], code: i32| {
        let done = dev.tool(arguments);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {}", said(&done));
    };
    ends(&["audit", "--order", "ord_x"], UNUSABLE);
    ends(&["audit", "--at", "nonsense"], UNUSABLE);
    ends(&["audit", "--order", "ord_01kab000000000000000000000"], ABSENT);
    ends(&["audit", "--issuer", "http://127.0.0.1:1"], UNREACHABLE);
    refuses(
        &dev.tool(&["audit", "--issuer", "http://127.0.0.1:1"]),
        "Connection refused",
    );
    for tool in ["audit", "migrate"] {
        let nowhere = [tool, "--database", "postgres://127.0.0.1:1/florin"];
        ends(&nowhere, UNREACHABLE);
        refuses(&dev.tool(&nowhere), "see that it runs and takes connections");
    }
    ends(&["migrate", "--database", "nope"], UNUSABLE);
    refuses(
        &dev.tool(&["migrate", "--database", "nope"]),
        "does not begin with `postgres://`",
    );
    ends(&["pay", "10.99", "EUR"], UNUSABLE);
    ends(&["listen", "--event", "nope"], UNUSABLE);
    ends(&["man", "nope"], UNUSABLE);
    let copy = dev.folder.join("copy.db");
    let copy = copy.to_str().unwrap();
    ends(&["backup", copy], 0);
    ends(&["backup", copy], CONFLICT);
    let nowhere = dev.folder.join("nowhere/copy.db");
    ends(&["backup", nowhere.to_str().unwrap()], ABSENT);
    ends(&["restore", copy], CONFLICT);
    ends(&["restore", nowhere.to_str().unwrap()], ABSENT);
    for tool in ["audit", "backup", "restore"] {
        let help = command(&[tool, "--help"]).output().unwrap();
        assert!(said(&help).contains("Exit codes:"), "{}", said(&help));
    }
}

#[test]
fn a_copy_that_cannot_be_is_no_fault_of_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let dev = Dev::start("copies");
    let copy = dev.folder.join("copy.db");
    let backup = |to: &Path| dev.tool(&["backup", to.to_str().unwrap()]);
    assert!(backup(&copy).status.success());
    refuses(&backup(&copy), "give another name");
    let nowhere = dev.folder.join("nowhere");
    refuses(&backup(&nowhere.join("copy.db")), "there is no folder");
    // A folder that stands in the way of the unfinished copy keeps out root as well, who may write anywhere.
    std::fs::create_dir_all(dev.folder.join("other.db.part")).unwrap();
    let unwritten = backup(&dev.folder.join("other.db"));
    refuses(&unwritten, "no copy was made");
    assert!(!said(&unwritten).contains("cannot be reached"), "{}", said(&unwritten));

    let there = dev.folder.join("there");
    std::fs::create_dir(&there).unwrap();
    std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(there.join("root.key"), "0".repeat(64)).unwrap();
    let whole = std::fs::read(&copy).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    let mut scratched = whole.clone();
    scratched[..4_096].fill(7);
    let mut holed = whole.clone();
    holed[4_096..40_960].fill(7);
    for (name, bytes) in [("half", half), ("scratched", scratched), ("holed", holed)] {
        let damaged = dev.folder.join(format!("{name}.db"));
        std::fs::write(&damaged, bytes).unwrap();
        let mut asked = command(&["restore", "--data"]);
        let done = asked.arg(&there).arg(&damaged).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{name}: {}", said(&done));
        let said = said(&done);
        assert!(said.contains(&format!("{name}.db is damaged")), "{name}: {said}");
        assert!(said.contains("take another copy"), "{name}: {said}");
        assert!(
            !said.contains("-wal") && !said.contains("the disk failed"),
            "{name}: {said}"
        );
        assert!(!there.join("florin.db").exists(), "{name}");
    }
}

#[test]
fn the_doctor_does_not_say_that_a_provider_is_asked_which_cannot_be() {
    let mut dev = Dev::start("mute");
    // A provider that takes every message and answers none.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4_096]);
        }
    });
    let made = dev.call(
        "/v1/connections",
        &format!(
            r#"{{"rail":"stripe","base":"{base}","secrets":{{"api_key":"dev_provider_key","webhook_secret":"dev_provider_hook"}},"default":true}}"#
        ),
    );
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    const UNKNOWN: i32 = 6;
    let paid = dev.tool(&["pay", "1099", "EUR", "--reference", "A-1"]);
    assert_eq!(paid.status.code(), Some(UNKNOWN), "{}", said(&paid));
    let uncertain = |dev: &Dev| -> Vec<Value> {
        let checks = of_kind(&dev.tool(&["doctor"]), "check");
        checks
            .into_iter()
            .filter(|check| check["check"] == "uncertain")
            .collect()
    };
    let asked = uncertain(&dev);
    assert!(
        asked[0]["mend"].as_str().unwrap().starts_with("the provider is asked"),
        "{asked:#?}"
    );
    dev.stop();
    let secrets = dev.folder.join("secrets.json");
    let kept = std::fs::read_to_string(&secrets).unwrap();
    std::fs::write(&secrets, kept.replace("\"provider_key\"", "\"other_key\"")).unwrap();
    let mute = uncertain(&dev);
    assert_eq!(mute[0]["grade"], "wrong", "{mute:#?}");
    assert!(
        mute[0]["says"].as_str().unwrap().contains("nobody asks the provider"),
        "{mute:#?}"
    );
}

#[test]
fn every_page_that_the_manual_names_is_printed() {
    let page = |words: &[&str]| {
        let done = command(&["man"]).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let mut named: Vec<String> = Vec::new();
    for part in page(&[]).replace('\\', "").split("(1)") {
        named.extend(part.split_whitespace().last().map(str::to_owned));
    }
    let named = named.iter().filter_map(|name| name.strip_prefix("florin-"));
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(
            page(&[name]).replace('\\', "").contains(&format!("florin-{name}")),
            "{name}"
        );
    }
    assert!(page(&["webhooks", "create"]).contains("webhooks"));
}

#[test]
fn a_first_port_that_leaves_no_room_for_the_others_is_a_mistake_on_the_command_line() {
    for (tool, port, max) in [
        ("dev", "65531", "65530"),
        ("serve", "65534", "65530"),
        ("sandbox", "65535", "65534"),
    ] {
        let folder = std::env::temp_dir().join(format!("florin-tools-{}-ports", std::process::id()));
        let done = command(&[tool, "--port", port, "--data"])
            .arg(&folder)
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(2), "{tool}: {}", said(&done));
        assert!(said(&done).contains(max), "{tool}: {}", said(&done));
        assert!(!folder.exists(), "{tool}");
    }
}

#[test]
fn a_tool_says_what_is_missing_and_makes_nothing() {
    let folder = std::env::temp_dir().join(format!("florin-tools-{}-nothing", std::process::id()));
    for (tool, code) in [("audit", 4), ("doctor", 1)] {
        let done = command(&[tool, "--data"]).arg(&folder).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{tool}: {}", said(&done));
        assert!(
            said(&done).contains("there is no database at"),
            "{tool}: {}",
            said(&done)
        );
    }
    assert!(!folder.exists(), "a tool that looks makes nothing");
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    for arguments in [
        &["openapi"][..],
        &["man"],
        &["man", "pay"],
        &["completions", "bash"],
        &["doctor"],
    ] {
        let mut asked = command(arguments);
        let mut child = asked.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        const READER_GONE: i32 = 141;
        assert_eq!(done.status.code(), Some(READER_GONE), "{arguments:?}: {}", said(&done));
        assert!(done.stderr.is_empty(), "{arguments:?}: {}", said(&done));
    }
}

#[test]
fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let mut dev = Dev::start("doctor");
    dev.client(&["webhooks", "create", "http://127.0.0.1:9/hook"]);
    dev.stop();
    let settings = dev.folder.join("florin.toml");
    let any_port = "[server]\napi = \"127.0.0.1:0\"\nstripe = \"127.0.0.1:0\"\n";
    std::fs::write(&settings, any_port).unwrap();
    let doctor = |dev: &Dev| dev.tool(&["doctor", "--config", settings.to_str().unwrap()]);
    let healthy = doctor(&dev);
    assert!(healthy.status.success(), "{}", said(&healthy));

    open_to_others(&dev.folder.join("florin.db"));
    let secrets = dev.folder.join("secrets.json");
    let kept = std::fs::read_to_string(&secrets).unwrap();
    let root = serde_json::from_str::<Value>(&kept).unwrap()["root_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let changed = kept
        .replace(&root, &"0".repeat(64))
        .replace("\"provider_key\"", "\"other_key\"");
    std::fs::write(&secrets, changed).unwrap();
    std::fs::write(&settings, format!("{any_port}[secrets]\nspare = \"x\"\n")).unwrap();
    open_to_others(&settings);
    let sick = doctor(&dev);
    assert_eq!(sick.status.code(), Some(1));
    let wrong: Vec<Value> = lines(&sick)
        .into_iter()
        .filter(|line| line["grade"] == "wrong")
        .collect();
    let mends = |check: &str| -> String {
        let found = wrong.iter().find(|line| line["check"] == check);
        let found = found.unwrap_or_else(|| panic!("nothing about {check}: {wrong:#?}"));
        found["mend"].as_str().unwrap().to_owned()
    };
    assert!(mends("data folder").starts_with("chmod go-rwx"));
    assert!(mends("configuration").starts_with("chmod o-rwx"));
    assert!(mends("sealed").contains("root key"));
    assert!(mends("connections").contains("FLORIN_SECRET_DEV_PROVIDER_KEY"));
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
}

/// `florin serve` over a folder, killed at the end; what it said if it ended by itself.
struct Server(Child);

impl Server {
    fn start(folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut asked = command(&["serve", "--json", "--port", "0", "--data"]);
        asked
            .arg(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = asked.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        if line.is_empty() {
            return Err(said(&child.wait_with_output().unwrap()));
        }
        Ok(Self(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_starts_over_a_used_database_only_with_the_root_key_that_it_was_used_with() {
    let mut dev = Dev::start("root");
    dev.client(&["webhooks", "create", "http://127.0.0.1:9/hook"]);
    dev.stop();
    let mut server = Server::start(&dev.folder, &[]).expect("the key that `dev` made is the right one");
    server.0.kill().unwrap();
    let mut logged = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
    assert!(logged.contains("`florin dev` made the data folder"), "{logged}");
    drop(server);
    assert!(!dev.folder.join("root.key").exists(), "and no other is made");

    let kept = dev.folder.join("secrets.json");
    let away = dev.folder.join("away.json");
    std::fs::rename(&kept, &away).unwrap();
    let refused = Server::start(&dev.folder, &[]).err().expect("there is no root key");
    assert!(refused.contains("put the key back"), "{refused}");
    assert!(
        !dev.folder.join("root.key").exists(),
        "a server that refuses makes none"
    );

    std::fs::write(dev.folder.join("root.key"), "0".repeat(64)).unwrap();
    let refused = Server::start(&dev.folder, &[]).err().expect("it is another root key");
    assert!(
        refused.contains("do not open under this root key: the root key is another one"),
        "{refused}"
    );
    drop(Server::start(&dev.folder, &["--root-key-lost"]).expect("whoever has lost it can go on"));

    std::fs::remove_file(dev.folder.join("root.key")).unwrap();
    std::fs::rename(&away, &kept).unwrap();
    dev.go();
    dev.stop();
}

#[test]
fn a_root_key_that_sealed_nothing_yet_is_the_databases_too() {
    let folder = std::env::temp_dir().join(format!("florin-tools-{}-mark", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    drop(Server::start(&folder, &[]).unwrap());
    std::fs::write(folder.join("root.key"), "0".repeat(64)).unwrap();
    let refused = Server::start(&folder, &[]).err().expect("it is another root key");
    assert!(refused.contains("the root key is another one"), "{refused}");
    let doctor = command(&["doctor", "--json", "--data"]).arg(&folder).output().unwrap();
    refuses(&doctor, "this database is used with another root key");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_data_folder_has_one_server() {
    let mut dev = Dev::start("alone");
    let refused = |kind: &str| {
        let mut child = command(&[kind, "--json", "--port", "0", "--data"])
            .arg(&dev.folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        if !line.is_empty() {
            child.kill().unwrap(); // it would never end
        }
        let done = child.wait_with_output().unwrap();
        assert_eq!(line, "", "`{kind}` started beside another server");
        const CONFLICT: i32 = 5;
        assert_eq!(done.status.code(), Some(CONFLICT), "{kind}: {}", said(&done));
        refuses(&done, "another server runs over the data folder");
    };
    refused("serve");
    refused("dev");
    // A node with a name and a database of its own included: names, keys and root key lie in that folder.
    let mut node = command(&[
        "serve",
        "--port",
        "0",
        "--database",
        "postgres://127.0.0.1:1/florin",
        "--data",
    ]);
    let done = node.arg(&dev.folder).env("FLORIN_NODE", "till-2").output().unwrap();
    refuses(&done, "each node has a data folder of its own, whatever its name");
    refuses(&done, "the same root key");
    // The pretend provider's database stands behind the issuer's book, which one process alone opens.
    refuses(&dev.tool(&["sandbox", "--port", "0"]), "is in use by another process");
    for tool in [&["audit"][..], &["doctor"], &["migrate"]] {
        let done = dev.tool(tool);
        assert!(done.status.success(), "{tool:?} beside a server: {}", said(&done));
    }
    // A server that is gone, however it ended, holds nothing.
    let mut killed = dev.child.take().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(Server::start(&dev.folder, &[]).unwrap());
    dev.go();
    dev.stop();
}

#[test]
fn a_copy_is_put_back_where_no_server_runs() {
    let mut dev = Dev::start("beside");
    let copy = dev.folder.join("copy.db");
    let copy = copy.to_str().unwrap();
    assert!(dev.tool(&["backup", copy]).status.success());
    const CONFLICT: i32 = 5;
    let beside = |arguments: &[&str]| {
        let done = dev.tool(arguments);
        assert_eq!(done.status.code(), Some(CONFLICT), "{arguments:?}: {}", said(&done));
        refuses(&done, "a server runs over the data folder");
        refuses(&done, "stop every server");
    };
    beside(&["restore", "--settle"]);
    // A database that was moved away is still the server's: it goes on writing there, and its callers would be lost.
    for name in ["florin.db", "florin.db-wal", "florin.db-shm"] {
        let _ = std::fs::rename(dev.folder.join(name), dev.folder.join(format!("away-{name}")));
    }
    beside(&["restore", copy]);
    assert!(!dev.folder.join("florin.db").exists(), "nothing was put back");
    dev.stop();
    let done = dev.tool(&["restore", copy]);
    assert!(dev.folder.join("florin.db").exists(), "{}", said(&done));
    dev.go();
    let done = dev.tool(&["restore", "--compare"]);
    assert!(done.status.success(), "beside a server: {}", said(&done));
    dev.stop();
}

#[test]
fn dev_says_what_helps_when_its_secrets_are_gone() {
    let mut dev = Dev::start("secrets");
    dev.stop();
    let secrets = dev.folder.join("secrets.json");
    std::fs::remove_file(&secrets).unwrap();
    let mut again = command(&["dev", "--json", "--port", "0", "--no-shop", "--data"]);
    let done = again.arg(&dev.folder).output().unwrap();
    refuses(&done, "remove the data folder to start anew");
    let said = said(&done);
    assert!(said.contains(secrets.to_str().unwrap()), "{said}");
    assert!(!said.contains("--root-key-lost"), "`dev` does not know it: {said}");
}

#[test]
fn the_doctor_takes_no_other_servers_word_for_this_ones_and_says_that_nobody_can_pay_without_a_connection() {
    let dev = Dev::start("other");
    let folder = dev.folder.join("empty");
    drop(Server::start(&folder, &[]).unwrap());
    let settings = folder.join("florin.toml");
    let admin = dev.address("admin");
    let admin = admin.strip_prefix("http://").unwrap();
    std::fs::write(&settings, format!("[server]\nadmin = \"{admin}\"\n")).unwrap();
    let mut asked = command(&["doctor", "--json", "--config"]);
    let done = asked.arg(&settings).arg("--data").arg(&folder).output().unwrap();
    assert!(done.status.success(), "notes are no faults: {}", said(&done));
    let checks = of_kind(&done, "check");
    let says = |check: &str| {
        let found = checks
            .iter()
            .find(|line| line["check"] == check && line["grade"] == "note");
        let found = found.unwrap_or_else(|| panic!("no note about {check}: {checks:#?}"));
        found["says"].as_str().unwrap().to_owned()
    };
    assert!(
        says("server").contains("not started from this folder"),
        "{}",
        says("server")
    );
    assert_eq!(says("connections"), "no connection: nobody can pay");
}

#[test]
fn the_doctor_says_which_alerts_ring_at_the_server_that_runs() {
    let mut dev = Dev::start("rings");
    let paid = dev.client(&["pay", "1099", "EUR"]);
    dev.stop();
    let database = rusqlite::Connection::open(dev.folder.join("florin.db")).unwrap();
    let damage = "update events set body = replace(body, '1099', '9901') where version > 1";
    assert!(database.execute(damage, []).unwrap() > 0);
    drop(database);
    dev.go();
    assert!(dev.tool(&["doctor"]).status.success(), "nobody has read the order yet");
    refuses(&dev.tool(&["get", paid["id"].as_str().unwrap()]), "record_damaged");
    // Figures may be some seconds old.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut sick = dev.tool(&["doctor"]);
    while sick.status.success() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        sick = dev.tool(&["doctor"]);
    }
    assert_eq!(sick.status.code(), Some(1), "{}", said(&sick));
    let checks = of_kind(&sick, "check");
    let alert = checks.iter().find(|check| check["check"] == "alerts").unwrap();
    assert!(
        alert["says"].as_str().unwrap().contains("`record_damaged` rings"),
        "{alert}"
    );
    assert_eq!(alert["mend"], "its page in docs/runbook.md, `record_damaged`");
}

fn open_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}
