//! Breadth-first, so that the first broken law comes with its shortest trace.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::laws::{self, Broken};
use super::rules::Rules;
use super::scenario::Scenario;
use super::world::{Act, How, World};
use super::{Saying, Try};
use florin_core::order::Command;

/// More worlds than any scenario has: an exploration that comes here is one that nobody wanted.
pub const WORLDS_MAX: u64 = 40_000_000;

/// What an exploration saw.
#[derive(Debug)]
pub struct Report {
    /// Different worlds.
    pub states: u64,
    /// Steps between them.
    pub transitions: u64,
    /// Every kind of event that was reached, with its count.
    pub events: BTreeMap<&'static str, u64>,
    /// Worlds in which nothing will happen any more.
    pub ends: u64,
    /// The steps to the deepest world.
    pub depth: u32,
    /// Every world was seen: the limit was not reached.
    pub complete: bool,
    /// The first broken law, if one was.
    pub found: Option<Found>,
}

/// A broken law and the shortest way to it.
#[derive(Debug)]
pub struct Found {
    /// The law.
    pub broken: Broken,
    /// What happened, step by step.
    pub trace: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.trace.iter().enumerate() {
            writeln!(f, "  {:>2}. {line}", number + 1)?;
        }
        write!(f, "  law {}: {}", self.broken.law, self.broken.how)
    }
}

/// Where a world was found, and where fairness leads from it.
struct Node {
    parent: u32,
    act: Act,
    depth: u32,
    fair: u32,
}

const NOWHERE: u32 = u32::MAX;

/// Explores a scenario until everything was seen, a law is broken, or `limit` worlds were found.
pub fn explore(scenario: &Scenario, rules: Rules, limit: u64) -> Report {
    let mut report = Report {
        states: 0,
        transitions: 0,
        events: BTreeMap::new(),
        ends: 0,
        depth: 0,
        complete: true,
        found: None,
    };
    let mut known: HashMap<u128, u32, BuildHasherDefault<Ready>> = HashMap::default();
    let mut nodes: Vec<Node> = Vec::new();
    let mut frontier: VecDeque<(u32, World)> = VecDeque::new();
    let first = World::new(scenario);
    known.insert(fingerprint(&first), 0);
    nodes.push(Node {
        parent: NOWHERE,
        act: Act::Start,
        depth: 0,
        fair: NOWHERE,
    });
    frontier.push_back((0, first));

    while let Some((id, world)) = frontier.pop_front() {
        let depth = nodes[id as usize].depth;
        let mut fairest: Option<(u8, u32)> = None;
        for act in world.acts(scenario, rules) {
            let Some(step) = world.after(act, scenario, rules) else {
                continue;
            };
            report.transitions += 1;
            for event in &step.events {
                *report.events.entry(event).or_default() += 1;
            }
            let next = match known.entry(fingerprint(&step.world)) {
                Entry::Occupied(seen) => *seen.get(),
                Entry::Vacant(new) => {
                    let next = u32::try_from(nodes.len()).expect("fewer than 2^32 worlds");
                    new.insert(next);
                    nodes.push(Node {
                        parent: id,
                        act,
                        depth: depth + 1,
                        fair: NOWHERE,
                    });
                    next
                }
            };
            let fresh = nodes[next as usize].parent == id
                && nodes[next as usize].act == act
                && next as usize == nodes.len() - 1;
            let law = match step.broken {
                Some(broken) => Err(broken),
                None if fresh => laws::world_keeps(&step.world).and_then(|()| step.world.repeats_keep(rules)),
                None => Ok(()),
            };
            if let Err(broken) = law {
                let trace = trace(scenario, rules, &nodes, id, Some(act));
                report.found = Some(Found { broken, trace });
                report.states = nodes.len() as u64;
                return report;
            }
            if let Some(rank) = fairness(&world, act)
                && fairest.is_none_or(|(best, _)| rank < best)
            {
                fairest = Some((rank, next));
            }
            if fresh {
                frontier.push_back((next, step.world));
            }
        }
        report.depth = report.depth.max(depth);
        match fairest {
            Some((_, next)) => nodes[id as usize].fair = next,
            None => {
                report.ends += 1;
                if let Err(broken) = laws::end_keeps(&world) {
                    let trace = trace(scenario, rules, &nodes, id, None);
                    report.found = Some(Found { broken, trace });
                    report.states = nodes.len() as u64;
                    return report;
                }
            }
        }
        if nodes.len() as u64 >= limit {
            report.states = nodes.len() as u64;
            report.complete = false;
            return report;
        }
    }
    report.states = nodes.len() as u64;
    report.found = endless(scenario, rules, &nodes);
    report
}

/// Law 7: from every world, what fairness brings about comes to an end. Where it runs in a circle, the machine does not.
fn endless(scenario: &Scenario, rules: Rules, nodes: &[Node]) -> Option<Found> {
    let mut over = vec![0_u32; nodes.len()]; // 0: not seen; n: on walk n; MAX: comes to an end
    for start in 0..nodes.len() {
        let walk = u32::try_from(start).expect("fewer than 2^32 worlds") + 1;
        let mut at = start;
        while over[at] == 0 {
            over[at] = walk;
            if nodes[at].fair == NOWHERE {
                break;
            }
            at = nodes[at].fair as usize;
        }
        if over[at] == walk && nodes[at].fair != NOWHERE {
            let id = u32::try_from(at).expect("fewer than 2^32 worlds");
            let broken = Broken {
                law: 7,
                how: "from here it goes round in a circle for ever".to_owned(),
            };
            return Some(Found {
                broken,
                trace: trace(scenario, rules, nodes, id, None),
            });
        }
        let mut at = start;
        while over[at] == walk {
            over[at] = u32::MAX;
            if nodes[at].fair == NOWHERE {
                break;
            }
            at = nodes[at].fair as usize;
        }
    }
    None
}

/// How much an act is to be expected when everybody is fair; none: it need never happen.
fn fairness(world: &World, act: Act) -> Option<u8> {
    match act {
        Act::Commit => Some(0),
        Act::Hear(index) => (!world.said[usize::from(index)].1).then_some(1),
        Act::Arrive(_, How::Refused | How::Delayed | How::Short) => Some(3),
        Act::Arrive(_, How::Tried(_) | How::Undone | How::Done) => Some(2),
        Act::Carries(..) | Act::Ends(..) => Some(4),
        Act::Verdict(..) => Some(5),
        Act::Ask(_) => Some(6),
        Act::Time(index) => match world.order.timers().into_iter().nth(index.into()) {
            Some((_, Command::WindowOver)) => Some(8),
            Some(_) => Some(7),
            None => None,
        },
        Act::Person(_) => Some(9),
        Act::Repair(_) => Some(10),
        _ => None,
    }
}

/// The shortest way to a world, and one act further.
fn trace(scenario: &Scenario, rules: Rules, nodes: &[Node], to: u32, last: Option<Act>) -> Vec<String> {
    let mut acts: Vec<Act> = last.into_iter().collect();
    let mut at = to;
    while nodes[at as usize].parent != NOWHERE {
        acts.push(nodes[at as usize].act);
        at = nodes[at as usize].parent;
    }
    acts.reverse();
    let mut world = World::new(scenario);
    let mut lines = Vec::new();
    for act in acts {
        let Some(step) = world.after(act, scenario, rules) else {
            break;
        };
        let events = if step.events.is_empty() {
            String::new()
        } else {
            format!(" ▸ {}", step.events.join(", "))
        };
        lines.push(format!("{}{events}", describe(&world, act)));
        world = step.world;
    }
    lines
}

/// An act in words.
fn describe(world: &World, act: Act) -> String {
    let request = |index: u8| world.requests[usize::from(index)];
    match act {
        Act::Hear(index) => {
            let (saying, heard) = world.said[usize::from(index)];
            let again = if heard { " again" } else { "" };
            match saying {
                Saying::Answer(step, word) => format!("heard{again}: {step} {word:?}"),
                Saying::Happened(attempt, what, _, amount) => {
                    format!("heard{again}: attempt {attempt} {what:?} {amount}")
                }
            }
        }
        Act::Arrive(index, How::Tried(Try::Act)) => {
            format!("provider gets {}: the payer must act", request(index).step)
        }
        Act::Arrive(index, how) => format!(
            "provider gets {} of {}: {how:?}",
            request(index).step,
            request(index).amount
        ),
        Act::Resend(index) => format!("provider carries out {} once more", request(index).step),
        Act::Carries(index, well) => format!(
            "provider ends {}: {}",
            request(index).step,
            if well { "done" } else { "refused" }
        ),
        Act::TakesBack(index) => format!("what {} moved is taken back", request(index).step),
        Act::Time(index) => match world.order.timers().into_iter().nth(index.into()) {
            Some((_, timer)) => format!("time: {timer:?}"),
            None => "time".to_owned(),
        },
        other => format!("{other:?}"),
    }
}

/// 128 bits of a world; two worlds with the same ones are taken for the same.
fn fingerprint(world: &World) -> u128 {
    let mut hasher = Fingerprint {
        low: 0x9e37_79b9_7f4a_7c15,
        high: 0xc2b2_ae3d_27d4_eb4f,
    };
    world.hash(&mut hasher);
    (u128::from(hasher.high) << 64) | u128::from(hasher.low)
}

/// Two lanes of multiply and fold, each over every word.
struct Fingerprint {
    low: u64,
    high: u64,
}

impl Fingerprint {
    fn mix(&mut self, word: u64) {
        let fold = |state: u64, key: u64| {
            let product = u128::from(state ^ word).wrapping_mul(u128::from(key));
            #[expect(clippy::cast_possible_truncation, reason = "folding takes both halves")]
            let (low, high) = (product as u64, (product >> 64) as u64);
            (low ^ high).rotate_left(23).wrapping_add(word)
        };
        self.low = fold(self.low, 0xa076_1d64_78bd_642f);
        self.high = fold(self.high.wrapping_add(0x5851_f42d_4c95_7f2d), 0xe703_7ed1_a0b4_28db);
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.low
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate().take(8) {
            self.0 ^= u64::from(*byte) << (8 * at);
        }
    }

    fn write_u128(&mut self, value: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "64 of its bits are enough for a bucket")]
        {
            self.0 = value as u64;
        }
    }
}
