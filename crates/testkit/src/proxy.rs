//! A wire that can go wrong: a TCP proxy between a server and what it speaks to (its database, a provider, a receiver).
//!
//! TCP hides lost packets, and so no proxy can lose any. What a program sees of loss is time: a lost packet goes again after
//! [`RETRANSMIT`], then after twice that. A one-way partition is silence in one direction while the connection stands; a cut is its end.
//! Threads and no runtime, so that a busy test cannot slow the wire down.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// How long TCP waits before it sends a lost packet again: Linux's least.
pub const RETRANSMIT: Duration = Duration::from_millis(200);
/// Losses of one packet in a row, so that a wire is slow and not dead.
const LOSSES_MAX: u32 = 4;
/// How long the target may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes carried at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the caller to the target.
    Up,
    /// From the target to the caller.
    Down,
}

/// What the wire is like. The default is a good wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Every chunk comes so much later, each way.
    pub delay: Duration,
    /// So many chunks of a hundred are lost, and come later.
    pub loss_percent: u8,
    /// Nothing arrives that goes this way; it is kept, and arrives when the weather is better, if the connection still stands.
    pub silent: Option<Way>,
    /// New connections are closed as soon as they are made.
    pub refuses: bool,
}

/// The proxy. Ends when it is dropped, and its connections with it.
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    target: SocketAddr,
    weather: Mutex<Weather>,
    changed: Condvar,
    links: Mutex<Vec<Weak<Link>>>,
    /// Chunks that are still to be damaged, each way.
    corrupt: [Mutex<u32>; 2],
    dice: Mutex<u64>,
    closing: AtomicBool,
}

/// One connection through the wire.
struct Link {
    caller: TcpStream,
    target: TcpStream,
    over: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// A good wire from a free port of loopback to `target`. `seed` decides which chunks are lost.
    pub fn start(target: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let wire = Arc::new(Wire {
            target,
            weather: Mutex::default(),
            changed: Condvar::new(),
            links: Mutex::default(),
            corrupt: Default::default(),
            dice: Mutex::new(seed | 1),
            closing: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&wire);
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { address, wire })
    }

    /// Where callers connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, also for connections that stand.
    pub fn set(&self, weather: Weather) {
        *locked(&self.wire.weather) = weather;
        self.wire.changed.notify_all();
    }

    /// A good wire again.
    pub fn heal(&self) {
        self.set(Weather::default());
    }

    /// Ends every connection. What was not delivered never is.
    pub fn cut(&self) {
        for link in self.wire.links() {
            link.cut();
        }
        self.wire.changed.notify_all();
    }

    /// One bit of each of the next `chunks` chunks that go this way is flipped.
    pub fn corrupt(&self, way: Way, chunks: u32) {
        *locked(&self.wire.corrupt[way as usize]) += chunks;
    }

    /// Chunks that are still to be damaged.
    pub fn uncorrupted(&self, way: Way) -> u32 {
        *locked(&self.wire.corrupt[way as usize])
    }

    /// Whoever receives what goes this way hears that nothing more will come; the other direction stays open.
    pub fn half_close(&self, way: Way) {
        for link in self.wire.links() {
            let _gone = link.to(way).shutdown(Shutdown::Write);
        }
    }

    /// Connections that stand.
    pub fn connections(&self) -> usize {
        self.wire.links().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.closing.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that waits for callers.
        drop(TcpStream::connect(self.address));
    }
}

impl Link {
    fn from(&self, way: Way) -> &TcpStream {
        match way {
            Way::Up => &self.caller,
            Way::Down => &self.target,
        }
    }

    fn to(&self, way: Way) -> &TcpStream {
        match way {
            Way::Up => &self.target,
            Way::Down => &self.caller,
        }
    }

    fn cut(&self) {
        self.over.store(true, Ordering::SeqCst);
        let _gone = self.caller.shutdown(Shutdown::Both);
        let _gone = self.target.shutdown(Shutdown::Both);
    }
}

impl Wire {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for caller in listener.incoming() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(caller) = caller else { continue };
            if locked(&self.weather).refuses {
                continue;
            }
            let wire = Arc::clone(&self);
            thread::spawn(move || wire.link(caller));
        }
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let mut links = locked(&self.links);
        links.retain(|link| link.strong_count() > 0);
        let standing = links.iter().filter_map(Weak::upgrade);
        standing.filter(|link| !link.over.load(Ordering::SeqCst)).collect()
    }

    fn link(self: Arc<Self>, caller: TcpStream) {
        let Ok(target) = TcpStream::connect_timeout(&self.target, CONNECT) else {
            return;
        };
        let quick = [caller.set_nodelay(true), target.set_nodelay(true)];
        if quick.iter().any(Result::is_err) {
            return;
        }
        let link = Arc::new(Link {
            caller,
            target,
            over: AtomicBool::new(false),
        });
        locked(&self.links).push(Arc::downgrade(&link));
        let (wire, other) = (Arc::clone(&self), Arc::clone(&link));
        let down = thread::spawn(move || wire.pump(&other, Way::Down));
        self.pump(&link, Way::Up);
        let _ended = down.join();
        link.over.store(true, Ordering::SeqCst);
    }

    /// Carries one direction until it ends.
    fn pump(&self, link: &Link, way: Way) {
        let (mut from, mut to) = (link.from(way), link.to(way));
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match from.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            thread::sleep(self.lateness());
            if !self.arrives(link, way) {
                break;
            }
            self.damage(way, &mut chunk[..length]);
            if to.write_all(&chunk[..length]).is_err() {
                break;
            }
        }
        let _gone = to.shutdown(Shutdown::Write);
    }

    fn lateness(&self) -> Duration {
        let weather = *locked(&self.weather);
        let mut late = weather.delay;
        let mut losses = 0;
        while losses < LOSSES_MAX && self.roll(100) < u64::from(weather.loss_percent) {
            late += RETRANSMIT * 2_u32.pow(losses);
            losses += 1;
        }
        late
    }

    /// Waits while nothing goes this way; false if the connection ended meanwhile.
    fn arrives(&self, link: &Link, way: Way) -> bool {
        let over = || link.over.load(Ordering::SeqCst);
        let silent = |weather: &mut Weather| weather.silent == Some(way) && !over();
        let weather = self.changed.wait_while(locked(&self.weather), silent);
        drop(weather.unwrap_or_else(PoisonError::into_inner));
        !over()
    }

    fn damage(&self, way: Way, chunk: &mut [u8]) {
        let mut left = locked(&self.corrupt[way as usize]);
        if *left > 0 {
            *left -= 1;
            let bit = self.roll(8 * chunk.len() as u64);
            let at = usize::try_from(bit / 8).unwrap_or(0);
            chunk[at] ^= 1 << (bit % 8);
        }
    }

    /// The next number below `end`: xorshift.
    fn roll(&self, end: u64) -> u64 {
        let mut dice = locked(&self.dice);
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        *dice % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with the next one.
    fn counter() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        byte[0] = byte[0].wrapping_add(1);
                        if stream.write_all(&byte).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_all(&[byte])?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok(answer[0])
    }

    #[test]
    fn a_good_wire_carries_both_ways_and_a_cut_ends_it() {
        let proxy = Proxy::start(counter(), 1).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(ask(&mut stream, 7).unwrap(), 8);
        assert_eq!(proxy.connections(), 1);
        proxy.cut();
        assert!(ask(&mut stream, 7).is_err());
        let mut another = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(ask(&mut another, 1).unwrap(), 2, "a cut is no refusal");
        proxy.set(Weather {
            refuses: true,
            ..Weather::default()
        });
        let refused = TcpStream::connect(proxy.address()).map(|mut stream| ask(&mut stream, 1));
        assert!(!matches!(refused, Ok(Ok(_))), "{refused:?}");
    }

    #[test]
    fn silence_one_way_keeps_what_was_said_until_the_weather_is_better() {
        let proxy = Proxy::start(counter(), 1).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        for way in [Way::Up, Way::Down] {
            proxy.set(Weather {
                silent: Some(way),
                ..Weather::default()
            });
            assert!(ask(&mut stream, 4).is_err(), "{way:?}");
            proxy.heal();
            stream.set_read_timeout(None).unwrap();
            let mut late = [0];
            stream.read_exact(&mut late).unwrap();
            assert_eq!(late[0], 5, "{way:?}");
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        }
    }

    #[test]
    fn damage_and_loss_are_done_to_what_passes() {
        let proxy = Proxy::start(counter(), 1).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        proxy.corrupt(Way::Down, 1);
        assert_ne!(ask(&mut stream, 9).unwrap(), 10);
        assert_eq!((ask(&mut stream, 9).unwrap(), proxy.uncorrupted(Way::Down)), (10, 0));
        proxy.set(Weather {
            loss_percent: 100,
            ..Weather::default()
        });
        let began = std::time::Instant::now();
        assert_eq!(ask(&mut stream, 9).unwrap(), 10);
        assert!(began.elapsed() >= RETRANSMIT * 2, "lost on the way there and back");
    }
}
