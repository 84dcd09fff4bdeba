//! The only place where chance comes from: new ids and unguessable values.

use std::cell::RefCell;

use florin_core::id::Ids;
use florin_core::time::Timestamp;
use uuid::Uuid;

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Random bytes for names, which are no secrets: asked of the operating system a few hundred at a time, because a call of its own for each
/// name would cost as much as all else that is done for a name.
pub fn name<const N: usize>() -> [u8; N] {
    const STOCK: usize = 512;
    const { assert!(N <= STOCK, "a name is short") };
    thread_local! {
        static BYTES: RefCell<([u8; STOCK], usize)> = const { RefCell::new(([0; STOCK], STOCK)) };
    }
    BYTES.with_borrow_mut(|(bytes, used)| {
        if STOCK - *used < N {
            (*bytes, *used) = (random(), 0);
        }
        let mut name = [0; N];
        name.copy_from_slice(&bytes[*used..*used + N]);
        *used += N;
        name
    })
}

/// An unguessable value of 128 bits and more: `N` random bytes in lower-case hex.
pub fn token<const N: usize>() -> String {
    const { assert!(N >= 16, "what opens something without a key has at least 128 bits") };
    hex(&random::<N>())
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS[usize::from(half)];
    let mut text = vec![0; 2 * bytes.len()];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    String::from_utf8(text).expect("hex digits are ASCII")
}

/// New ids: UUIDs of version 7 made of the given clock and the operating system's dice, ascending within this process.
pub struct SystemIds<C> {
    clock: C,
    last_ms: u64,
    counter: u16,
}

impl<C: Fn() -> Timestamp> SystemIds<C> {
    /// Ids that take their time from `clock`.
    pub fn new(clock: C) -> Self {
        Self {
            clock,
            last_ms: 0,
            counter: 0,
        }
    }
}

impl<C: Fn() -> Timestamp> Ids for SystemIds<C> {
    fn next_uuid(&mut self) -> Uuid {
        let now_ms = u64::try_from((self.clock)().millis()).unwrap_or(0);
        // A clock that stands still or steps back must not make ids descend: lists are sorted by id.
        if now_ms > self.last_ms {
            (self.last_ms, self.counter) = (now_ms, 0);
        } else if self.counter < 0xfff {
            self.counter += 1;
        } else {
            (self.last_ms, self.counter) = (self.last_ms + 1, 0);
        }
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&name::<8>());
        bytes[..2].copy_from_slice(&self.counter.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(self.last_ms, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_repeat() {
        let mut made: Vec<[u8; 16]> = (0..1_000).map(|_| name()).collect();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 1_000);
    }

    #[test]
    fn ids_ascend_even_when_the_clock_stands_still_or_steps_back() {
        let times = RefCell::new(vec![5, 5, 3, 9, 9]);
        let clock = || Timestamp::from_millis(times.borrow_mut().pop().unwrap_or(1));
        let mut ids = SystemIds::new(clock);
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.next_uuid()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
    }
}
