//! The provider behind a socket, on a thread of its own: it outlives every server that is killed, keeps its own book, and can go wrong in
//! every way that a wire and a program can.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use florin_core::time::Timestamp;
use florin_services::clock::{Clock, SystemClock};
use florin_testkit::check::Witness;
use florin_testkit::provider::{Asked, Provider};
use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::http;

/// Something that a test does at the moment at which a request is there.
pub type Deed = Arc<dyn Fn() + Send + Sync>;

/// What becomes of a request.
#[derive(Clone)]
pub enum Fate {
    /// Nothing is done, and the connection is reset.
    ResetBefore,
    /// It is done, and the connection is reset before a word is said.
    ResetAfter,
    /// Nothing is done, and the answer is this status with no sense in it.
    Status(u16),
    /// It is done, and the answer is this status with no sense in it.
    DoneThen(u16),
    /// It is done, and the answer is 200 with this body.
    Garbage(&'static str),
    /// It is done, and the answer ends in its middle.
    Cut,
    /// It is done, and the answer comes so much later.
    Late(Duration),
    /// It is done, and the answer comes one byte a second.
    Drip,
    /// It is done, and the answer is larger than anybody reads.
    Huge,
    /// It is done, and then this happens, and the connection is reset.
    DeedAfter(Deed),
}

struct Rule {
    words: &'static str,
    skip: u32,
    left: u32,
    fate: Fate,
}

/// A request that was carried out.
#[derive(Clone, Debug)]
pub struct Seen {
    pub asked: Asked,
}

struct Shared {
    provider: Mutex<Provider>,
    rules: Mutex<VecDeque<Rule>>,
    seen: Mutex<Vec<Seen>>,
    latency: Mutex<Duration>,
}

pub struct Psp {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

impl Psp {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (listener, address) = {
            let _inside = runtime.enter();
            http::listen()
        };
        let shared = Arc::new(Shared {
            provider: Mutex::new(Provider::new(format!("http://{address}"))),
            rules: Mutex::default(),
            seen: Mutex::default(),
            latency: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    pub fn provider(&self) -> MutexGuard<'_, Provider> {
        locked(&self.shared.provider)
    }

    /// The next `times` requests whose method and path contain `words` meet this fate.
    pub fn next(&self, words: &'static str, fate: Fate, times: u32) {
        self.after(0, words, fate, times);
    }

    /// As [`Psp::next`], when `skip` such requests have passed.
    pub fn after(&self, skip: u32, words: &'static str, fate: Fate, times: u32) {
        locked(&self.shared.rules).push_back(Rule {
            words,
            skip,
            left: times,
            fate,
        });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        locked(&self.shared.rules).clear();
        self.set_latency(Duration::ZERO);
    }

    /// Fates that nobody has met yet.
    pub fn fates_left(&self) -> u32 {
        locked(&self.shared.rules).iter().map(|rule| rule.left).sum()
    }

    /// How long every answer takes.
    pub fn set_latency(&self, latency: Duration) {
        *locked(&self.shared.latency) = latency;
    }

    /// Requests that were carried out and whose method and path contain `words`.
    pub fn seen(&self, words: &str) -> Vec<Seen> {
        let seen = locked(&self.shared.seen);
        let contains = |seen: &&Seen| format!("{} {}", seen.asked.method, seen.asked.path).contains(words);
        seen.iter().filter(contains).cloned().collect()
    }

    /// Webhooks that are to be delivered, oldest first.
    pub fn take_events(&self) -> Vec<Value> {
        self.provider().take_events()
    }

    /// How each payment stands by the provider's own book.
    pub fn witness(&self) -> Witness {
        let provider = self.provider();
        let orders = provider.book().iter().filter_map(|line| line.key);
        let orders: std::collections::BTreeSet<_> = orders.map(|key| key.order()).collect();
        orders
            .into_iter()
            .map(|order| (order, provider.stands(order)))
            .collect()
    }

    /// One key of ours stands for one message: the same bytes each time, and one effect.
    pub fn check_keys(&self) -> Vec<String> {
        let mut first: BTreeMap<String, Asked> = BTreeMap::new();
        let mut wrong = Vec::new();
        for seen in self.seen("POST") {
            let Some(key) = seen.asked.key.clone() else {
                wrong.push(format!("{} came without a key", seen.asked.path));
                continue;
            };
            let before = first.entry(key).or_insert_with(|| seen.asked.clone());
            if *before != seen.asked {
                wrong.push(format!("one key, two messages: {before:?} and {:?}", seen.asked));
            }
        }
        wrong
    }
}

impl Drop for Psp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn fate(&self, line: &str) -> Option<Fate> {
        let mut rules = locked(&self.rules);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && line.contains(rule.words))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.left -= 1;
        Some(rule.fate.clone())
    }

    /// Does what is asked, and writes down that it was.
    fn carry_out(&self, asked: &Asked) -> (u16, Vec<u8>) {
        let said = locked(&self.provider).ask(asked, now());
        locked(&self.seen).push(Seen { asked: asked.clone() });
        (said.status, said.body.to_string().into_bytes())
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(message)) = http::read(&mut stream).await {
            let mut words = message.first.split(' ');
            let asked = Asked {
                method: words.next().unwrap_or_default().to_owned(),
                path: words.next().unwrap_or_default().to_owned(),
                key: message.headers.get("idempotency-key").cloned(),
                form: url::form_urlencoded::parse(&message.body).into_owned().collect(),
            };
            let latency = *locked(&self.latency);
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let fate = self.fate(&format!("{} {}", asked.method, asked.path));
            if self.meet(&mut stream, &asked, fate).await.is_err() {
                // The end of a connection with `linger` zero is a reset: whatever was not read yet is gone.
                drop(stream.get_ref().set_zero_linger());
                return;
            }
        }
    }

    /// Answers in the way that this request deserves; an error ends the connection with a reset.
    async fn meet(
        &self,
        stream: &mut BufReader<TcpStream>,
        asked: &Asked,
        fate: Option<Fate>,
    ) -> Result<(), std::io::Error> {
        let reset = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let (status, body) = match &fate {
            Some(Fate::ResetBefore) => return Err(reset()),
            Some(Fate::Status(status)) => (*status, b"try later".to_vec()),
            None
            | Some(
                Fate::ResetAfter
                | Fate::DoneThen(_)
                | Fate::Garbage(_)
                | Fate::Cut
                | Fate::Late(_)
                | Fate::Drip
                | Fate::Huge
                | Fate::DeedAfter(_),
            ) => self.carry_out(asked),
        };
        let whole = match fate {
            None | Some(Fate::Status(_)) => http::answer(status, &[], &body),
            Some(Fate::ResetBefore | Fate::ResetAfter) => return Err(reset()),
            Some(Fate::DeedAfter(deed)) => {
                deed();
                return Err(reset());
            }
            Some(Fate::DoneThen(status)) => http::answer(status, &[], b"sorry"),
            Some(Fate::Garbage(text)) => http::answer(200, &[], text.as_bytes()),
            Some(Fate::Huge) => http::answer(status, &[], "x".repeat(10 << 20).as_bytes()),
            Some(Fate::Late(time)) => {
                tokio::time::sleep(time).await;
                http::answer(status, &[], &body)
            }
            Some(Fate::Cut) => {
                let whole = http::answer(status, &[], &body);
                stream.write_all(&whole[..whole.len() - body.len() / 2]).await?;
                stream.flush().await?;
                return Err(reset());
            }
            Some(Fate::Drip) => {
                for byte in http::answer(status, &[], &body) {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                return Ok(());
            }
        };
        stream.write_all(&whole).await?;
        stream.flush().await
    }
}
