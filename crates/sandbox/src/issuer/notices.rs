//! What nobody asked for and somebody should know: notices, each kept until it was acknowledged.
//!
//! Like everything else they are read from the book. An entry that happened of its own accord, or that ends what was answered as pending,
//! makes a notice; an `acknowledged` entry ends it. So a notice outlives every crash, and so does its end.

use jiff::Timestamp;

use super::Issuer;
use crate::entry::{Entry, NoticeId, What};
use crate::message::{Happened, Notice};

impl Issuer {
    /// Up to `limit` notices that nobody has acknowledged, oldest first.
    pub fn unacknowledged(&self, limit: usize) -> Vec<Notice> {
        self.notices.values().take(limit).cloned().collect()
    }

    /// The entry that the newest of them is about; 0 if there is none.
    pub fn newest_notice(&self) -> u64 {
        self.notices.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// The entry that ends a notice; none if it has ended, or never was.
    pub fn acknowledge(&self, notice: NoticeId, at: Timestamp) -> Option<Entry> {
        let told = self.notices.get(&notice.0)?;
        let it = self.authorization(told.authorization);
        Some(Entry {
            seq: self.last_seq + 1,
            at,
            what: What::Acknowledged { notice: notice.0 },
            authorization: told.authorization,
            key: told.key.clone(),
            reference: told.reference.clone(),
            card: it.card,
            amount: 0,
            currency: it.currency,
            more: false,
        })
    }

    pub(super) fn tell(&mut self, entry: &Entry, kind: Happened) {
        let notice = Notice {
            id: NoticeId(entry.seq),
            kind,
            authorization: entry.authorization,
            key: entry.key.clone(),
            reference: entry.reference.clone(),
            at: entry.at,
        };
        self.notices.insert(entry.seq, notice);
    }
}
