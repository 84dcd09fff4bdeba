//! What goes wrong in one run, and how often: drawn from the seed, many of them nothing at all.

use super::dice::Dice;

/// How long after healing everything must have come to an end: a hold of seven days, and what follows it.
const REST_S: i64 = 10 * 86_400;

/// Chances are in a thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Orders.
    pub orders: u32,
    /// Virtual seconds of faults.
    pub faults_s: i64,
    /// Virtual seconds after healing in which everything must come to an end.
    pub rest_s: i64,
    /// A request never arrives.
    pub lose_request: u32,
    /// A reply never arrives.
    pub lose_reply: u32,
    /// A request arrives twice.
    pub double: u32,
    /// A request takes long.
    pub delay: u32,
    /// The provider answers with an error without a meaning, before or after it did what was asked.
    pub error: u32,
    /// The provider says "not now".
    pub not_now: u32,
    /// Nobody can be connected to.
    pub refuse: u32,
    /// A webhook never comes.
    pub lose_webhook: u32,
    /// A webhook comes twice.
    pub double_webhook: u32,
    /// A call to the database goes wrong.
    pub mishap: u32,
    /// Mean seconds between crashes; 0: none.
    pub crash_every_s: i64,
    /// Mean seconds between pauses of a node; 0: none.
    pub pause_every_s: i64,
    /// How far the nodes' clocks are apart at most, in seconds.
    pub skew_s: i64,
    /// A payer leaves without a word.
    pub payer_leaves: u32,
    /// Somebody works at the provider's console, or a bank disputes.
    pub console: u32,
    /// The provider is away for a while.
    pub outage: bool,
    /// From some moment on the provider says nothing at all, for days.
    pub silent: bool,
    /// The merchant's server does not take a webhook.
    pub deaf: u32,
    /// Refunds are pending for a while.
    pub refunds_pend: bool,
}

impl Swarm {
    /// What seed `seed` sees.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let mut chance = |most: u32| {
            // Half of the faults do not exist in a run: rare combinations come up that an even mix hides.
            let on = dice.permille(500);
            let much = u32::try_from(dice.below(u64::from(most) + 1)).unwrap_or(0);
            if on { much } else { 0 }
        };
        let (lose_request, lose_reply, double, delay) = (chance(300), chance(400), chance(200), chance(200));
        let (error, not_now, refuse) = (chance(200), chance(100), chance(200));
        let (lose_webhook, double_webhook, mishap) = (chance(1_000), chance(300), chance(60));
        let (payer_leaves, console) = (chance(400), chance(300));
        let crash_every_s = i64::from(chance(300));
        let pause_every_s = i64::from(chance(300));
        let skew_s = i64::from(chance(300));
        let refunds_pend = chance(1) == 1;
        let deaf = chance(800);
        Self {
            orders: super::ORDERS_MIN + u32::try_from(dice.below(21)).unwrap_or(0),
            faults_s: dice.between(300, 3_600),
            rest_s: REST_S,
            lose_request,
            lose_reply,
            double,
            delay,
            error,
            not_now,
            refuse,
            lose_webhook,
            double_webhook,
            mishap,
            crash_every_s,
            pause_every_s,
            skew_s,
            payer_leaves,
            console,
            outage: dice.permille(200),
            silent: dice.permille(30),
            deaf,
            refunds_pend,
        }
    }
}
