//! `florin audit`: every law, on a database that may be in use. `docs/audit.md` lists them.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::bail;
use florin_core::id::OrderId;
use florin_core::money::Money;
use florin_core::time::Timestamp;
use florin_services::audit::{self, Compared, Finding, Issuer, Summary, Unreachable, When};
use florin_services::clock::{Clock, SystemClock};
use florin_store::Store;
use serde_json::{Value, json};

use crate::cli::{Audit, Output};
use crate::client::{Failure, NOT_FOUND, UNREACHABLE};
use crate::installation;

/// Orders between two lines of progress on a terminal.
const PROGRESS_ORDERS: u64 = 2_000;

pub(crate) async fn run(output: Output, args: &Audit) -> anyhow::Result<ExitCode> {
    let order = args.order.as_deref().map(order_of).transpose()?;
    let at = args.at.as_deref().map(moment).transpose()?;
    let (config, store) = installation::open(&args.local).await?;
    let mut paper = Paper {
        output,
        findings: 0,
        explained: BTreeSet::new(),
    };
    if let Some(order) = order {
        let found = audit::audit_order(&*store, florin_rails::ALL, order, SystemClock.now()).await?;
        let Some(findings) = found else {
            let nothing = format!("there is no order {order} in this database");
            bail!(Failure::new(
                NOT_FOUND,
                "no_order",
                nothing,
                "name the database that it is in: --data or --database"
            ))
        };
        findings.iter().for_each(|finding| paper.finding("product", finding));
        paper.end(
            "the order",
            &json!({ "object": "audit", "order": order, "findings": paper.findings }),
        );
        return Ok(paper.code());
    }
    let summary = whole(&mut paper, "product", &*store, at).await?;
    let provider = match installation::provider_file(&config) {
        Some(file) => Some(installation::open_file(&file).await?),
        None => None,
    };
    let mut compared = Vec::new();
    if let Some(provider) = &provider {
        whole(&mut paper, "provider", &**provider, None).await?;
        let mut report = |finding| paper.finding("product", &finding);
        let between = audit::against_provider(&*store, &**provider, &mut report).await?;
        compared.push(("provider", between));
    }
    if let Some(issuer) = &args.issuer {
        let issuer = Issuer::at(issuer);
        let (whose, book) = match &provider {
            Some(provider) => ("provider", &**provider),
            None => ("product", &*store),
        };
        let mut report = |finding| paper.finding(whose, &finding);
        let between = match audit::against_issuer(book, &issuer, &mut report).await {
            Ok(between) => between,
            Err(Unreachable::Store(fault)) => return Err(fault.into()),
            Err(error @ Unreachable::Issuer { .. }) => {
                let fix = "name what `florin dev` calls `issuer`, while it runs";
                bail!(Failure::new(UNREACHABLE, "issuer_unreachable", error.to_string(), fix))
            }
        };
        compared.push(("issuer", between));
    }
    paper.summary(&summary, &compared, at);
    Ok(paper.code())
}

/// Audits a database whole.
async fn whole(
    paper: &mut Paper,
    whose: &'static str,
    store: &dyn Store,
    at: Option<Timestamp>,
) -> anyhow::Result<Summary> {
    let progress = std::io::stderr().is_terminal() && !paper.output.quiet && !paper.output.json;
    let mut shown = 0;
    let mut seen = |orders: u64| {
        if progress && orders >= shown + PROGRESS_ORDERS {
            shown = orders;
            crate::say::progress(&format!("{orders} orders"));
        }
    };
    let when = When {
        now: Some(SystemClock.now()),
        at,
    };
    let summary = audit::audit(
        store,
        florin_rails::ALL,
        when,
        &mut |finding| paper.finding(whose, &finding),
        &mut seen,
    )
    .await?;
    if shown > 0 {
        crate::say::note("");
    }
    Ok(summary)
}

/// What is printed, and how much of it is bad.
struct Paper {
    output: Output,
    findings: u64,
    /// Laws whose meaning was printed already.
    explained: BTreeSet<String>,
}

impl Paper {
    fn finding(&mut self, whose: &str, finding: &Finding) {
        self.findings += 1;
        if self.output.json {
            let line = json!({
                "object": "finding", "database": whose, "law": finding.law, "order": finding.order, "version": finding.version,
                "merchant": finding.tenant.map(|tenant| tenant.merchant), "mode": finding.tenant.map(|tenant| tenant.mode),
                "what": finding.what, "mend": finding.law.mend(),
            });
            return crate::say::data(&crate::say::json(&line));
        }
        let order = finding.order.map_or_else(String::new, |order| format!("{order} "));
        let version = finding
            .version
            .map_or_else(String::new, |version| format!("version {version} "));
        let whose = if whose == "product" { "" } else { "provider: " };
        let line = format!("{}  {whose}{order}{version}{}", finding.law, finding.what);
        crate::say::data(&crate::say::plain(&line));
        if self.explained.insert(finding.law.to_string()) {
            crate::say::data(&format!("    law: {}", finding.law.says()));
            crate::say::data(&format!("    do: {}", finding.law.mend()));
        }
    }

    fn summary(&self, summary: &Summary, compared: &[(&str, Compared)], at: Option<Timestamp>) {
        let trial: Vec<Value> = summary
            .trial
            .iter()
            .map(|((tenant, key), (posted, pending))| {
                json!({
                    "merchant": tenant.merchant, "mode": tenant.mode, "account": key.account.as_str(), "connection": key.connection,
                    "currency": key.currency, "posted": posted.to_string(), "pending": pending.to_string(),
                })
            })
            .collect();
        let compared_json: Vec<Value> = compared
            .iter()
            .map(|(with, compared)| {
                json!({ "with": with, "attempts": compared.attempts, "in_flight": compared.moving, "payments": compared.theirs })
            })
            .collect();
        if at.is_some() && !self.output.json {
            crate::say::data("account          currency           posted          pending");
            for ((_, key), (posted, pending)) in &summary.trial {
                crate::say::data(&format!(
                    "{:<16} {:<8} {:>16} {:>16}  {}",
                    key.account.as_str(),
                    key.currency,
                    decimal(*posted, key.currency),
                    decimal(*pending, key.currency),
                    key.connection
                ));
            }
        }
        let line = json!({
            "object": "audit", "orders": summary.orders, "event_rows": summary.event_rows, "postings": summary.postings,
            "deliveries": summary.deliveries, "findings": self.findings, "laws": summary.findings, "compared": compared_json,
            "at": at.map(text), "trial": trial,
        });
        let looked = format!(
            "{} orders, {} event rows, {} postings, {} deliveries",
            summary.orders, summary.event_rows, summary.postings, summary.deliveries
        );
        self.end(&looked, &line);
        for (with, compared) in compared.iter().filter(|_| !self.output.json && !self.output.quiet) {
            crate::say::note(&format!(
                "held against the {with}: {} attempts, {} payments; {} attempts in flight were left out",
                compared.attempts, compared.theirs, compared.moving
            ));
        }
    }

    fn end(&self, looked: &str, line: &Value) {
        if self.output.json {
            crate::say::data(&crate::say::json(line));
        } else if self.findings > 0 {
            let findings = if self.findings == 1 { "finding" } else { "findings" };
            crate::say::note(&format!("{looked}: {} {findings}", self.findings));
        } else if !self.output.quiet {
            crate::say::note(&format!("{looked}: every law holds"));
        }
    }

    fn code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.findings > 0))
    }
}

fn order_of(said: &str) -> Result<OrderId, Failure> {
    said.parse()
        .map_err(|error: florin_core::id::IdError| Failure::usage(error.to_string(), "name an order by its id"))
}

/// A moment, or the first one of a day.
fn moment(said: &str) -> Result<Timestamp, Failure> {
    let of_day = |day: jiff::civil::Date| Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    let at: Option<jiff::Timestamp> = said.parse().ok().or_else(|| of_day(said.parse().ok()?));
    at.map(|at| Timestamp::from_millis(at.as_millisecond())).ok_or_else(|| {
        Failure::usage(
            format!("`{said}` is no moment"),
            "write 2026-11-21T10:00:00Z, or a date",
        )
    })
}

/// A moment as RFC 3339 writes it.
pub(crate) fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| at.millis().to_string(), |at| at.to_string())
}

/// A sum with its decimals, if it is one amount's size.
fn decimal(minor: i128, currency: florin_core::money::Currency) -> String {
    i64::try_from(minor).map_or_else(|_| minor.to_string(), |minor| Money::new(minor, currency).decimal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_day() {
        assert_eq!(
            moment("2026-11-21T10:00:00Z").unwrap(),
            Timestamp::from_millis(1_795_255_200_000)
        );
        assert_eq!(moment("2026-11-21").unwrap(), Timestamp::from_millis(1_795_219_200_000));
        assert!(moment("yesterday").is_err());
    }
}
