//! A provider with its own book, as faithless as one may be: it decides what it likes, refuses undoes, loses holds, and lets its console
//! and the payer's bank move money. It never lies: what it says was true when it said it.
//!
//! It shares nothing with the machine but the names of steps. Amounts are tiny.

use florin_core::decline::{Code, Decline};
use florin_core::money::{Currency, Money};
use florin_core::order::{Fact, HoldEnd, Says, StepKind, StepName};
use florin_core::rail::{Action, What};

/// An amount in these worlds.
pub type Amount = i16;

/// Money of these worlds.
pub fn money(amount: Amount) -> Money {
    Money::new(amount.into(), Currency::EUR)
}

/// What was asked of the provider: the message, which may arrive at any time, again, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// The step; its key at the provider.
    pub step: StepName,
    /// How much.
    pub amount: Amount,
    /// A capture: the last one.
    pub last: bool,
    /// The authorise step takes the money at once.
    pub sale: bool,
}

/// How an attempt stands in the provider's book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// The request has not arrived.
    #[default]
    Absent,
    /// The payer must act.
    Acting(u8),
    /// It takes its time.
    Waiting,
    /// Held.
    Held,
    /// Taken.
    Sold,
    /// Refused.
    Declined,
    /// Undone, or fenced: nothing will ever happen under this key.
    Undone,
}

/// What the provider remembers of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Done {
    /// It is at it.
    Pending,
    /// Done; so much moved.
    Yes(Amount),
    /// Refused.
    No,
}

/// The provider's book of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deal {
    /// How the authorisation stands.
    pub auth: Auth,
    /// What still is held.
    pub held: Amount,
    /// The hold can be used.
    pub open: bool,
    /// Taken with the authorisation, or received.
    pub sold: Amount,
    /// Taken from the hold.
    pub captured: Amount,
    /// Back with the payer by refunds of ours.
    pub refunded: Amount,
    /// Of what is back otherwise: sent back by cancels and reversals, which tell it in all.
    pub undone: Amount,
    /// Back with the payer by anything but refunds of ours.
    pub back: Amount,
    /// Of that: given back at the console, and not come again.
    pub console: Amount,
    /// Taken for disputes, open or lost.
    pub disputed: Amount,
    /// Charged by the provider.
    pub fees: Amount,
    /// Disputes: how much, and whether open.
    pub disputes: Vec<(Amount, bool)>,
    /// Steps that were carried out, by key.
    pub done: Vec<(Request, Done)>,
}

/// Something the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Saying {
    /// How a step stands.
    Answer(StepName, Word),
    /// What answers no step: the attempt, what, the provider's number of it, how much.
    Happened(u8, What, u8, Amount),
}

/// How a step stands, in the provider's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// The payer must act, for the how-manieth time.
    Acting(u8),
    /// It takes its time.
    Pending,
    /// Held.
    Held(Amount),
    /// Taken, done, refunded.
    Done(Amount),
    /// Refused.
    No,
    /// Undone; so much moved back.
    Undone(Amount),
    /// Done, and taken back.
    TakenBack(Amount),
    /// Done, in a currency that nobody asked for.
    Foreign(Amount),
}

impl Saying {
    /// The saying as the machine hears it; `by_person`: somebody looked it up.
    pub fn fact(self, by_person: bool) -> Fact {
        match self {
            Self::Answer(step, word) => Fact::Answer {
                step,
                says: word.says(),
                note: by_person.then(|| "seen at the provider".to_owned()),
            },
            Self::Happened(attempt, what, number, amount) => Fact::Happened {
                attempt,
                id: number.to_string(),
                what,
                money: money(amount),
            },
        }
    }
}

impl Word {
    fn says(self) -> Says {
        let done = |money, held| Says::Approved {
            money,
            held,
            stated: true,
        };
        match self {
            Self::Acting(number) => Says::Acting {
                action: Action::Redirect {
                    url: number.to_string(),
                },
            },
            Self::Pending => Says::Pending,
            Self::Held(amount) => done(money(amount), Some(HoldEnd::Unknown)),
            Self::Done(amount) => done(money(amount), None),
            Self::No => Says::Declined(Decline::new(Code::DoNotHonor)),
            Self::Undone(amount) => Says::Released { moved: money(amount) },
            Self::TakenBack(amount) => Says::TakenBack { money: money(amount) },
            Self::Foreign(amount) => done(Money::new(amount.into(), Currency::USD), None),
        }
    }
}

impl Deal {
    /// What stands: taken, and not back, refunded or disputed.
    pub fn stands(&self) -> Amount {
        self.sold + self.captured - self.refunded - self.back - self.disputed
    }

    /// What the provider owes for this attempt.
    pub fn owes(&self) -> Amount {
        self.stands() - self.fees
    }

    /// What became of a step.
    pub fn done(&self, step: StepName) -> Option<Done> {
        self.done
            .iter()
            .find(|(request, _)| request.step == step)
            .map(|(_, done)| *done)
    }

    fn remember(&mut self, request: Request, done: Done) {
        self.done.retain(|(known, _)| known.step != request.step);
        self.done.push((request, done));
        self.done.sort_unstable();
    }

    /// The provider's word for how a step stands now, if it knows the step.
    pub fn word(&self, step: StepName) -> Option<Word> {
        if step.kind == StepKind::Authorize {
            return match self.auth {
                Auth::Absent => None,
                Auth::Acting(number) => Some(Word::Acting(number)),
                Auth::Waiting => Some(Word::Pending),
                Auth::Held => Some(match self.done(step) {
                    Some(Done::Yes(amount)) => Word::Held(amount),
                    Some(Done::Pending | Done::No) | None => Word::Pending,
                }),
                Auth::Sold => Some(match self.done(step) {
                    Some(Done::Yes(amount)) => Word::Done(amount),
                    Some(Done::Pending | Done::No) | None => Word::Pending,
                }),
                Auth::Declined => Some(Word::No),
                Auth::Undone => Some(Word::Undone(0)),
            };
        }
        self.done(step).map(|done| match (done, step.kind) {
            (Done::Pending, _) => Word::Pending,
            (Done::No, _) => Word::No,
            (Done::Yes(amount), StepKind::Cancel | StepKind::Reverse) => Word::Undone(amount),
            (
                Done::Yes(amount),
                StepKind::Authorize | StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund,
            ) => Word::Done(amount),
        })
    }

    /// Approves the authorise step.
    pub fn approve(&mut self, request: Request, amount: Amount) -> Saying {
        self.remember(request, Done::Yes(amount));
        if request.sale || amount == 0 {
            self.auth = Auth::Sold;
            self.sold += amount;
            Saying::Answer(request.step, Word::Done(amount))
        } else {
            self.auth = Auth::Held;
            self.held = amount;
            self.open = true;
            Saying::Answer(request.step, Word::Held(amount))
        }
    }

    /// Puts the authorise step into a state that is not an approval.
    pub fn authorise(&mut self, request: Request, auth: Auth) -> Saying {
        self.auth = auth;
        let (done, word) = match auth {
            Auth::Acting(number) => (Done::Pending, Word::Acting(number)),
            Auth::Absent | Auth::Waiting | Auth::Held | Auth::Sold => (Done::Pending, Word::Pending),
            Auth::Declined => (Done::No, Word::No),
            Auth::Undone => (Done::No, Word::Undone(0)),
        };
        self.remember(request, done);
        Saying::Answer(request.step, word)
    }

    /// Nothing of the attempt stands afterwards, and nothing will: gives the hold back, sends money back, fences the key.
    pub fn undo(&mut self, request: Request) -> Saying {
        self.undone += self.send_back();
        self.remember(request, Done::Yes(self.undone));
        Saying::Answer(request.step, Word::Undone(self.undone))
    }

    /// Sends back what stands, and fences the attempt. Answers how much that was.
    fn send_back(&mut self) -> Amount {
        let moved = self.stands().max(0);
        self.back += moved;
        self.held = 0;
        self.open = false;
        self.auth = Auth::Undone;
        moved
    }

    /// Somebody sends back at the console what stands. Answers how much that was.
    pub fn send_back_by_hand(&mut self) -> Amount {
        let moved = self.send_back();
        self.console += moved;
        moved
    }

    /// What somebody sees who looks how much undoes and the console sent back of the attempt in all.
    pub fn sent_back(&self) -> Amount {
        self.undone + self.console
    }

    /// Refuses a step.
    pub fn refuse(&mut self, request: Request) -> Saying {
        self.remember(request, Done::No);
        Saying::Answer(request.step, Word::No)
    }

    /// Takes its time over a step.
    pub fn delay(&mut self, request: Request) -> Saying {
        self.remember(request, Done::Pending);
        Saying::Answer(request.step, Word::Pending)
    }

    /// Whether a capture, void, increment or refund can be carried out as it was asked.
    pub fn possible(&self, request: Request) -> bool {
        match request.step.kind {
            StepKind::Capture => self.open && request.amount <= self.held,
            StepKind::Void | StepKind::Increment => self.open,
            StepKind::Refund => request.amount <= self.stands(),
            StepKind::Authorize | StepKind::Cancel | StepKind::Reverse => false,
        }
    }

    /// Carries out a capture, void, increment or refund; of a capture perhaps less than was asked.
    pub fn carry_out(&mut self, request: Request, amount: Amount) -> Saying {
        match request.step.kind {
            StepKind::Capture => {
                self.captured += amount;
                self.held -= amount;
                if request.last {
                    self.held = 0;
                    self.open = false;
                }
            }
            StepKind::Void => {
                self.held = 0;
                self.open = false;
            }
            StepKind::Increment => self.held += amount,
            StepKind::Refund => self.refunded += amount,
            StepKind::Authorize | StepKind::Cancel | StepKind::Reverse => {}
        }
        self.remember(request, Done::Yes(amount));
        Saying::Answer(request.step, Word::Done(amount))
    }
}
