//! Planted mistakes: each must be found, or the simulation proves nothing.

use florin_core::decline::{Code, Decline};
use florin_core::rail::{
    Event, Exchange, Heard, Next, Notice, Opened, Outcome, Rail, Repeat, Report, Table, Task, Turn, Unsupported,
};

/// The oldest mistake of all: a lost answer is a decline. It sends nothing twice, and takes silence and whatever it does not understand
/// for a no.
pub struct LostIsDecline<R>(pub R);

impl<R: Rail> LostIsDecline<R> {
    fn once(turn: Turn) -> Turn {
        let next = match turn.next {
            Next::Send(message) if !message.asks => Next::Send(Exchange {
                repeat: Repeat::Never,
                ..message
            }),
            other @ (Next::Send(_)
            | Next::Unclear
            | Next::Again { .. }
            | Next::Wait(_)
            | Next::Done(_)
            | Next::Stuck(_)) => other,
        };
        Turn { next, ..turn }
    }

    fn declined() -> Turn {
        let no = Outcome::Declined(Decline::new(Code::IssuerUnavailable));
        Turn::new(Next::Done(Report::new(no, None)))
    }
}

impl<R: Rail> Rail for LostIsDecline<R> {
    fn table(&self) -> &'static Table {
        self.0.table()
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        self.0.start(task).map(Self::once)
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        let lost = matches!(heard, Heard::Silence) && exchange == "intent";
        let turn = self.0.read(task, exchange, heard);
        if lost || exchange == "intent" && turn.next == Next::Unclear {
            return Self::declined();
        }
        Self::once(turn)
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        Self::once(self.0.wake(task, wait, event))
    }

    fn open(&self, notice: &Notice) -> Opened {
        self.0.open(notice)
    }
}
