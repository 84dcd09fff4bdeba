//! A fixed piece of integer work whose time says how fast this CPU is in this minute.
//!
//! Virtual CPUs change speed by half from minute to minute. CPU figures of two runs may be compared after dividing by
//! this one. The work is SHA-256 in plain code: no instructions for hashing, no memory, no calls.

use std::time::Instant;

/// Blocks of 64 bytes in one timing: about half a millisecond, so that most timings are not interrupted even when
/// several processes share the core.
const BLOCKS: u32 = 2048;

/// Timings of which the fastest is taken: the one that nothing interrupted.
const TIMINGS: usize = 150;

/// Microseconds for 1,000 blocks, the fastest of several timings.
pub fn us_per_thousand_blocks() -> f64 {
    let fastest = (0..TIMINGS)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(blocks(std::hint::black_box(BLOCKS)));
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    fastest.as_secs_f64() * 1e9 / f64::from(BLOCKS)
}

/// Hashes so many blocks, each made from the state before it.
pub fn blocks(count: u32) -> [u32; 8] {
    let mut state = START;
    for number in 0..count {
        let mut block = [number; 16];
        block[..8].copy_from_slice(&state);
        state = compress(state, block);
    }
    state
}

const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

fn compress(state: [u32; 8], block: [u32; 16]) -> [u32; 8] {
    let mut words = [0; 64];
    words[..16].copy_from_slice(&block);
    for at in 16..64 {
        let (near, far) = (words[at - 2], words[at - 15]);
        let low = far.rotate_right(7) ^ far.rotate_right(18) ^ (far >> 3);
        let high = near.rotate_right(17) ^ near.rotate_right(19) ^ (near >> 10);
        words[at] = low
            .wrapping_add(high)
            .wrapping_add(words[at - 16])
            .wrapping_add(words[at - 7]);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for (word, round) in words.iter().zip(ROUNDS) {
        let chosen = (e & f) ^ (!e & g);
        let mixed = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let first = h
            .wrapping_add(mixed)
            .wrapping_add(chosen)
            .wrapping_add(round)
            .wrapping_add(*word);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let turned = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        (h, g, f, e, d, c, b, a) = (
            g,
            f,
            e,
            d.wrapping_add(first),
            c,
            b,
            a,
            first.wrapping_add(turned).wrapping_add(majority),
        );
    }
    let mut next = [a, b, c, d, e, f, g, h];
    next.iter_mut()
        .zip(state)
        .for_each(|(new, old)| *new = new.wrapping_add(old));
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_is_really_sha_256() {
        // "abc", padded to one block: FIPS 180-4, example B.1.
        let mut block = [0; 16];
        (block[0], block[15]) = (0x6162_6380, 24);
        let digest: String = compress(START, block)
            .iter()
            .map(|word| format!("{word:08x}"))
            .collect();
        assert_eq!(
            digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn more_blocks_end_elsewhere_and_take_time() {
        assert_ne!(blocks(1), blocks(2));
        assert!(us_per_thousand_blocks() > 1.0);
    }
}
