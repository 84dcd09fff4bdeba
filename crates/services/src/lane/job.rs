//! What a lane is given, and what it gives back.

use florin_core::id::OrderId;
use florin_core::order::{Plan, StepName};
use florin_core::rail::Item;
use florin_store::{NoticeId, NoticeRow, OrderRow, Tenant};

use crate::ask::{Answered, Ask, Denied};
use crate::fresh::Written;
use crate::snapshot::Made;
use crate::worker::{Effect, Turned};

/// Names a caller who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One thing for a lane to carry out.
#[derive(Clone, Debug)]
pub enum Job {
    /// A door's request.
    Ask {
        /// Who waits.
        token: Token,
        /// What is asked.
        ask: Box<Ask>,
        /// For a request that starts an attempt: how. Its amount is filled in by the lane.
        start: Option<Box<Start>>,
    },
    /// A worker's turn.
    Turn(Box<Turned>),
    /// An order that was claimed because it is due: its row as it is now.
    Due(Box<OrderRow>),
    /// Notices that came: to be written down.
    Notices {
        /// Who waits.
        token: Token,
        /// The notices.
        rows: Vec<NoticeRow>,
    },
    /// A notice that was written down, about this order.
    Told {
        /// Whose it is.
        tenant: Tenant,
        /// The order.
        order: OrderId,
        /// Its name.
        id: NoticeId,
        /// What it says.
        item: Box<Item>,
    },
    /// A notice is done, or put off: it is about nobody we know.
    Shelve {
        /// Done with.
        done: Vec<NoticeId>,
        /// To be looked at later.
        later: Vec<NoticeRow>,
    },
    /// Mark the messages of an order that may be sent only once, then send them. A lane gives this to itself.
    Mark(OrderId),
    /// Look at what is open of an order now, not when it is due: its provider answers again. A step that is busy is looked at when it is free.
    Nudge {
        /// The order.
        order: OrderId,
        /// This step alone.
        step: Option<StepName>,
    },
}

/// How an attempt is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The plan.
    pub plan: Plan,
    /// Where the payer comes back to, if not to our own return page.
    pub return_url: Option<String>,
}

/// What comes out of a lane.
#[derive(Debug)]
pub enum Output {
    /// An answer.
    Reply(Token, Reply),
    /// This caller waits for a step: it is to be given up on in time.
    Waiting(Token, OrderId),
    /// Something for the worker, already leased to this node.
    Effect(Box<Effect>),
    /// Notices are durable: the inbox has something to tell.
    Noticed,
    /// A notice that could not be told now; the inbox tells it again.
    Untold(NoticeId),
    /// The stored bytes of this order do not hold.
    Damaged(OrderId, String),
    /// The disk is broken: nothing more may be acknowledged.
    Broken(String),
    /// A batch is durable: how many jobs it carried, and its event rows.
    Committed(usize, Vec<Written>),
}

/// A lane's answer.
#[derive(Debug)]
pub enum Reply {
    /// The call's answer.
    Answered(Answered),
    /// Why not.
    Denied(Denied),
    /// Notices are durable.
    Stored,
    /// The same call came before: its answer is rebuilt from the order's events.
    Rebuild(Rebuild),
    /// The wait is over and the step still runs: the order is read as it stands.
    Running(OrderId, StepName),
}

/// How the answer of an earlier call is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// What the call did; none for the call that made the order.
    pub(crate) made: Option<Made>,
    /// The order.
    pub(crate) order: OrderId,
    /// Another call with the same key was first; else it is the first one's answer, which another node brought about.
    pub(crate) replayed: bool,
}

impl Rebuild {
    /// The order.
    pub fn order(&self) -> OrderId {
        self.order
    }
}
