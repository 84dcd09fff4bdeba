//! The worker: carries out what a commit asked for, and brings back what the rail made of it. The only caller of `read` and `wake`.
//!
//! ```text
//! Effect ──▶ Carry ──Send──▶ egress ──heard──▶ Carry ──▶ (asks again) … ──▶ Turned ──▶ lane
//! ```
//!
//! [`Carry`] is a state machine without I/O: the engine and the simulator run the same one. It carries one errand of one step from the
//! commit that asked for it to the turn that goes into the next commit. A message that only asks is sent without a commit of its own.

pub mod breaker;

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::order::{StepKind, StepName};
use florin_core::rail::{About, Event, Exchange, Heard, Item, Name, Next, Reply, Task, Turn};
use florin_core::time::Timestamp;
use florin_store::{NoticeId, Tenant};

use crate::egress::Road;
use crate::work::{FINISHED, Spot};

/// Questions that one errand may ask in a row (a list that goes on, a question after a refusal) before it counts as unclear.
pub const ASKS_MAX: u8 = 8;
/// After how many seconds a message that surely never left, and that nobody waits for, is tried again at the earliest.
const UNSENT_AGAIN_S: u32 = 5;

/// What a commit asks the worker to do for one step. Handed over after the commit, under the lease of this node.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Counts the effects of a lane.
    pub ticket: u64,
    /// The lane that wants the turn.
    pub lane: usize,
    /// Whose order it is.
    pub tenant: Tenant,
    /// The order.
    pub order: OrderId,
    /// The step.
    pub step: StepName,
    /// Where its rail stands.
    pub at: Spot,
    /// The order's fence when it was handed over.
    pub fence: u32,
    /// The way to the provider.
    pub road: Arc<Road>,
    /// What the rail is asked.
    pub task: Box<Task>,
    /// What is to be done.
    pub errand: Errand,
    /// Notices that are done with the turn.
    pub done: Vec<NoticeId>,
}

/// What is to be done for a step.
#[derive(Clone, Debug)]
pub enum Errand {
    /// Send the message.
    Send {
        /// The very bytes.
        message: Arc<Exchange>,
        /// An earlier copy may have arrived.
        again: bool,
    },
    /// Tell the rail that no answer came to a message.
    Silence,
    /// Tell the rail that no copy of a message ever left.
    Unsent,
    /// Tell the rail that the payer came back.
    Back(BTreeMap<String, String>),
    /// Tell the rail of a notice.
    Told(Item),
    /// Tell the rail to ask.
    Tick,
    /// Tell the rail that the deadline has passed.
    Over,
}

/// What comes of an errand: one command to the lane.
#[derive(Clone, Debug)]
pub struct Turned {
    /// The effect that it answers.
    pub ticket: u64,
    /// Whose order it is.
    pub tenant: Tenant,
    /// The order.
    pub order: OrderId,
    /// The step.
    pub step: StepName,
    /// Where the rail stood.
    pub at: Spot,
    /// The order's fence when the errand was handed over.
    pub fence: u32,
    /// The rail was told of something that may only build on the end of the step, like a dispute before the payment is heard of.
    pub early: bool,
    /// The rail was told that its wait is over.
    pub over: bool,
    /// The message was answered, or never left, and no other copy of it had gone: "not now" leaves no doubt.
    pub sole: bool,
    /// What it learned and what comes next.
    pub turn: Turn,
    /// Some message of this errand had no answer.
    pub lost: bool,
    /// Notices that are done with it.
    pub done: Vec<NoticeId>,
}

/// What to do next for an errand.
#[derive(Debug)]
pub enum Move {
    /// Send this and say how it ended.
    Send(Arc<Exchange>),
    /// It is carried out: give this to the lane.
    Turn(Box<Turned>),
}

/// How a message ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// A whole reply.
    Reply(Reply),
    /// It may have arrived.
    Silence,
    /// Certain: no copy of it left.
    Unsent,
}

/// One errand under way.
#[derive(Debug)]
pub struct Carry {
    effect: Effect,
    /// The message that is out.
    out: Option<Arc<Exchange>>,
    asks: u8,
    lost: bool,
    /// What was heard last is about the message that was written down, and about its only copy.
    sole: bool,
    learned: Vec<(Name, String)>,
}

impl Effect {
    /// The turn of an errand that failed: nothing is known.
    pub fn unclear(&self) -> Turned {
        Turned {
            ticket: self.ticket,
            tenant: self.tenant,
            order: self.order,
            step: self.step,
            at: self.at.clone(),
            fence: self.fence,
            early: self.at != Spot::Finished && tells_of_more(&self.errand),
            over: matches!(self.errand, Errand::Over),
            sole: false,
            turn: Turn::new(Next::Unclear),
            lost: false,
            done: self.done.clone(),
        }
    }
}

impl Carry {
    /// Begins an errand.
    pub fn begin(effect: Effect, now: Timestamp) -> (Self, Move) {
        let mut carry = Self {
            effect,
            out: None,
            asks: 0,
            lost: false,
            sole: false,
            learned: Vec::new(),
        };
        carry.effect.task.now = now;
        let next = carry.start();
        (carry, next)
    }

    /// The way to the provider.
    pub fn road(&self) -> &Arc<Road> {
        &self.effect.road
    }

    /// The order, for logs.
    pub fn order(&self) -> OrderId {
        self.effect.order
    }

    /// The step, for logs.
    pub fn step(&self) -> StepName {
        self.effect.step
    }

    /// The lane that wants the turn.
    pub fn lane(&self) -> usize {
        self.effect.lane
    }

    fn start(&mut self) -> Move {
        let rail = self.effect.road.rail;
        let task = &self.effect.task;
        let turn = match (&self.effect.errand, &self.effect.at) {
            (Errand::Send { message, .. }, _) => {
                let message = Arc::clone(message);
                self.out = Some(Arc::clone(&message));
                return Move::Send(message);
            }
            (Errand::Silence, at) => rail.read(task, at.name(), Heard::Silence),
            (Errand::Unsent, at) => rail.read(task, at.name(), Heard::Unsent),
            (Errand::Back(params), at) => rail.wake(task, at.name(), Event::Back(params)),
            (Errand::Told(item), at) => rail.wake(task, at.name(), Event::Told(item)),
            (Errand::Tick, at) => rail.wake(task, at.name(), Event::Tick),
            (Errand::Over, at) => rail.wake(task, at.name(), Event::Over),
        };
        self.take(turn)
    }

    /// The message that was out has ended.
    pub fn heard(&mut self, ended: Ended, now: Timestamp) -> Move {
        let Some(out) = self.out.take() else {
            return Move::Turn(Box::new(self.effect.unclear()));
        };
        self.effect.task.now = now;
        let rail = self.effect.road.rail;
        let again = match &self.effect.errand {
            Errand::Send { message, again } => *again && Arc::ptr_eq(message, &out),
            Errand::Silence | Errand::Unsent | Errand::Back(_) | Errand::Told(_) | Errand::Tick | Errand::Over => false,
        };
        let written = matches!(&self.effect.errand, Errand::Send { message, .. } if Arc::ptr_eq(message, &out));
        self.lost |= !matches!(ended, Ended::Reply(_));
        self.sole = written && !again && !matches!(ended, Ended::Silence);
        let turn = match ended {
            Ended::Reply(mut reply) => {
                reply.again = again;
                rail.read(&self.effect.task, &out.name, Heard::Reply(&reply))
            }
            // The lane decides whether a copy goes, or the rail has to find out another way.
            Ended::Silence if written && out.repeat != florin_core::rail::Repeat::Never => Turn::new(Next::Unclear),
            Ended::Silence => rail.read(&self.effect.task, &out.name, Heard::Silence),
            // Somebody waits for an authorisation, and may try elsewhere: the worker gives up. Nothing else is given up so fast, and a
            // copy that stayed here is none.
            Ended::Unsent if written && self.effect.step.kind != StepKind::Authorize => Turn::new(Next::Again {
                after_s: UNSENT_AGAIN_S,
            }),
            Ended::Unsent if written && again => Turn::new(Next::Unclear),
            Ended::Unsent => rail.read(&self.effect.task, &out.name, Heard::Unsent),
        };
        self.take(turn)
    }

    fn take(&mut self, turn: Turn) -> Move {
        match turn.next {
            // About a step that is over nothing can be lost: what was learned on the way comes with the end.
            Next::Send(message)
                if message.asks && self.asks < ASKS_MAX && (turn.learn.is_empty() || self.finished()) =>
            {
                self.asks += 1;
                let learned = turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone()));
                self.effect.task.memo.extend(learned);
                self.learned.extend(turn.learn);
                let message = Arc::new(message);
                self.out = Some(Arc::clone(&message));
                Move::Send(message)
            }
            Next::Send(message) if message.asks && self.asks >= ASKS_MAX => {
                let mut unclear = Turn::new(Next::Unclear);
                unclear.learn = turn.learn;
                Move::Turn(Box::new(self.turned(unclear)))
            }
            Next::Send(_) | Next::Unclear | Next::Again { .. } | Next::Wait(_) | Next::Done(_) | Next::Stuck(_) => {
                Move::Turn(Box::new(self.turned(turn)))
            }
        }
    }

    fn finished(&self) -> bool {
        self.effect.at == Spot::Finished
    }

    fn turned(&mut self, mut turn: Turn) -> Turned {
        let mut learn = std::mem::take(&mut self.learned);
        learn.append(&mut turn.learn);
        turn.learn = learn;
        Turned {
            sole: self.sole,
            turn,
            lost: self.lost,
            ..self.effect.unclear()
        }
    }
}

/// Whether a notice is about an object that a step made, not about the step itself: it does not carry our own name of the step.
fn tells_of_more(errand: &Errand) -> bool {
    match errand {
        Errand::Told(item) => match item.about {
            About::Ref(..) => true,
            About::Key(_) | About::Nobody => false,
        },
        Errand::Send { .. } | Errand::Silence | Errand::Unsent | Errand::Back(_) | Errand::Tick | Errand::Over => false,
    }
}

impl Spot {
    /// The name in the rail's table.
    pub fn name(&self) -> &str {
        match self {
            Self::Out(name, _) | Self::Wait(name, _) => name,
            Self::Finished => FINISHED,
        }
    }
}
