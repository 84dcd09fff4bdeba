//! What can be typed. One binary: server, tools, client.
//!
//! Data goes to standard output, everything else to standard error. `--json` on every command (a list is one JSON object a line); errors
//! too. Exit codes stand in [`crate::client::EXIT_CODES`].

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Florin takes a payment from whoever pays, wherever they are, and moves it over whichever rail works: once.
#[derive(Debug, Parser)]
#[command(
    name = "florin",
    version,
    about,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = crate::client::EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The largest first port of `dev` and `serve`: their last door is five behind it.
const FIRST_PORT_MAX: i64 = 65_535 - 5;
/// The largest first port of `sandbox`: it has two doors.
const SANDBOX_PORT_MAX: i64 = 65_535 - 1;

/// How a command speaks.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print JSON: one object, or one a line for lists. Errors too.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print nothing but data and errors.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Never ask: fail instead.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_input: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: server, pretend provider, demo shop
    Dev(Dev),
    /// Start the server
    Serve(Serve),
    /// Start the pretend provider and its card issuer alone
    Sandbox(Sandbox),
    /// Bring the database's tables up to this version
    Migrate(Local),
    /// Merchants of this installation
    #[command(subcommand)]
    Merchants(Merchants),
    /// API keys of a merchant
    #[command(subcommand)]
    Keys(Keys),
    /// Make an order and pay it
    #[command(after_help = crate::client::EXIT_CODES)]
    Pay(Pay),
    /// Take money that is held
    #[command(after_help = crate::client::EXIT_CODES)]
    Capture(Capture),
    /// Give a hold back
    #[command(after_help = crate::client::EXIT_CODES)]
    Void(OrderArg),
    /// Call an unpaid order off
    #[command(after_help = crate::client::EXIT_CODES)]
    Cancel(OrderArg),
    /// Give money back
    #[command(after_help = crate::client::EXIT_CODES)]
    Refund(Refund),
    /// Show an order, refund, event, customer or anything else with an id
    Get(Get),
    /// List orders
    Orders(Orders),
    /// Attempts of an order, and how a stuck one is settled by hand
    #[command(subcommand)]
    Attempts(Attempts),
    /// Events of an order, or all of them
    #[command(subcommand)]
    Events(Events),
    /// Webhook endpoints and their deliveries
    #[command(subcommand)]
    Webhooks(Webhooks),
    /// Print events as they happen, and hand them to a program on this machine
    Listen(Listen),
    /// Make an event happen in test mode, by really doing what causes it
    Trigger(Trigger),
    /// The books
    #[command(subcommand)]
    Ledger(Ledger),
    /// Say what is wrong, and how to mend it
    Doctor(Local),
    /// Check every law on a database, also one in use
    #[command(after_help = crate::client::EXIT_CODES)]
    Audit(Audit),
    /// Copy the embedded database to a file, while it is in use
    #[command(after_help = crate::client::EXIT_CODES)]
    Backup(Backup),
    /// Put a copy back, and list what the provider knows that it does not
    #[command(after_help = crate::client::EXIT_CODES)]
    Restore(Restore),
    /// Measure this machine against pgbench
    Bench(florin_bench::Options),
    /// Print the API's description (OpenAPI 3.1)
    Openapi,
    /// Print completions for a shell
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or a command's own
    Man {
        /// The command, such as `dev` or `webhooks create`.
        command: Vec<String>,
    },
}

/// An amount without its currency beside it.
fn minor_units(typed: &str) -> Result<i64, &'static str> {
    typed
        .parse()
        .map_err(|_| "amounts are whole minor units: 1099 is 10.99 EUR")
}

#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// First port; the others follow, so 65530 at most. 0: any free ports.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u16).range(..=FIRST_PORT_MAX))]
    pub(crate) port: u16,
    /// Where data lies. The same folder gives the same keys and orders again.
    #[arg(long, default_value = "florin-data")]
    pub(crate) data: PathBuf,
    /// A PostgreSQL address instead of the embedded SQLite.
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Leave the demo shop out.
    #[arg(long)]
    pub(crate) no_shop: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) local: Local,
    /// First port instead of the configured addresses, 65530 at most; 0: any free ports.
    #[arg(long, value_parser = clap::value_parser!(u16).range(..=FIRST_PORT_MAX))]
    pub(crate) port: Option<u16>,
    /// The root key of this database is lost: start with another one. Webhook secrets that it sealed do not open any more: remove these
    /// endpoints and make new ones.
    #[arg(long)]
    pub(crate) root_key_lost: bool,
    /// For `florin bench`: a stand-in provider that every merchant's test connection speaks to.
    #[arg(long, hide = true)]
    pub(crate) bench_provider: Option<String>,
    /// For `florin bench`: how many merchants there are to be.
    #[arg(long, hide = true, default_value_t = 1)]
    pub(crate) bench_merchants: usize,
    /// For `florin bench`: pages between two checkpoints of SQLite.
    #[arg(long, hide = true)]
    pub(crate) checkpoint_pages: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct Sandbox {
    /// First port: the provider's; the issuer's book is at the next one, so 65534 at most. 0: any free ports.
    #[arg(long, default_value_t = 4003, value_parser = clap::value_parser!(u16).range(..=SANDBOX_PORT_MAX))]
    pub(crate) port: u16,
    /// Where its data lies.
    #[arg(long, default_value = "florin-sandbox")]
    pub(crate) data: PathBuf,
    /// Where the provider sends its webhooks: `/hooks/{connection}` of the server that is tried.
    #[arg(long)]
    pub(crate) hook: Option<String>,
}

/// Where a command that works on the database finds it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Local {
    /// The configuration file.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Where data lies, instead of the configured folder.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// A PostgreSQL address, instead of the configured database.
    #[arg(long)]
    pub(crate) database: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) local: Local,
    /// The issuer's book to hold ours against: the `issuer` address of `dev`.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// Only this order, `ord_…`.
    #[arg(long, conflicts_with_all = ["issuer", "at"])]
    pub(crate) order: Option<String>,
    /// The moment of the trial balance (RFC 3339, or a date), instead of now.
    #[arg(long)]
    pub(crate) at: Option<String>,
}

/// How a client command reaches the server.
#[derive(Args, Clone, Debug)]
pub(crate) struct Remote {
    /// The API's address. Without it: FLORIN_API, else what `dev` left in its data folder, else http://127.0.0.1:4000.
    #[arg(long, env = "FLORIN_API", help_heading = "Server and key")]
    pub(crate) api: Option<String>,
    /// A file with the API key; `-` reads standard input. Without it: FLORIN_KEY, else the key of `dev`.
    #[arg(long, help_heading = "Server and key")]
    pub(crate) key_file: Option<PathBuf>,
    /// The data folder of `dev`.
    #[arg(long, default_value = "florin-data", help_heading = "Server and key")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Merchants {
    /// Make a merchant, with a key for test mode
    Create {
        /// What payers read.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List merchants
    List {
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeArg {
    Test,
    Live,
}

impl ModeArg {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key. Its secret is shown this once.
    Create {
        /// The merchant, with the admin key; without it, the merchant of the key in use.
        #[arg(long)]
        merchant: Option<String>,
        /// Test or live. Without it: the mode of the key in use; with the admin key, test.
        #[arg(long, value_enum)]
        mode: Option<ModeArg>,
        /// What it is for.
        #[arg(long, default_value = "")]
        label: String,
        /// What it may do: read, pay, refund, manage. Repeat for several; all if none is given.
        #[arg(long)]
        scope: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Replace a key; the old one works on for a while
    Roll {
        /// The key's id, `key_…`.
        id: String,
        /// Seconds for which the old one still works.
        #[arg(long, default_value_t = 3600)]
        overlap: u32,
        #[command(flatten)]
        remote: Remote,
    },
    /// Switch a key off, now and for good
    Revoke {
        /// The key's id, `key_…`.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List keys
    List {
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Pay {
    /// How much, in whole minor units: 1099 is 10.99 EUR.
    pub(crate) amount: String,
    /// Currency, ISO 4217.
    #[arg(default_value = "EUR")]
    pub(crate) currency: String,
    /// Your own name for it; made up if none is given.
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// `hosted` for the provider's page, a stored method's id, or a test method.
    #[arg(long, default_value = "card_visa")]
    pub(crate) method: String,
    /// Hold only; capture later.
    #[arg(long)]
    pub(crate) hold: bool,
    /// What the payer reads.
    #[arg(long)]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct Capture {
    /// The order, `ord_…`.
    pub(crate) order: String,
    /// How much, in minor units; all that is held if none is given.
    #[arg(long, value_parser = minor_units)]
    pub(crate) amount: Option<i64>,
    /// More will be taken later: keep the rest held.
    #[arg(long)]
    pub(crate) keep_rest: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct OrderArg {
    /// The order, `ord_…`.
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct Refund {
    /// The order, `ord_…`.
    pub(crate) order: String,
    /// How much, in minor units; all that is left if none is given.
    #[arg(long, value_parser = minor_units)]
    pub(crate) amount: Option<i64>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct Get {
    /// An id (`ord_…`, `evt_…`, `cus_…`, …) or an order's reference.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct Orders {
    /// Only with this `payment_order_status`.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only with this reference.
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// Only of this customer.
    #[arg(long)]
    pub(crate) customer: Option<String>,
    /// Only with this metadata, `name=value`. Repeat for several.
    #[arg(long)]
    pub(crate) metadata: Vec<String>,
    /// Only those that need a person.
    #[arg(long)]
    pub(crate) attention: bool,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
    /// Older than this order.
    #[arg(long)]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Attempts {
    /// List the attempts of an order
    List(OrderArg),
    /// Report how a step stands that is open or uncertain, as you saw it at the provider
    ///
    /// It is booked as if the provider had said it: an order whose attempt you call approved is paid, also while the payer is
    /// still on the provider's page, and with the amount that you give. What is above what was asked stays until you refund it.
    Resolve {
        /// An attempt (`att_…`) or one of its steps (`att_…/ref/0`, `att_…/cap/1`).
        id: String,
        /// How it stands.
        #[arg(long = "as", value_enum)]
        outcome: Resolution,
        /// The amount that the provider shows, in minor units, if it is not what was asked.
        #[arg(long)]
        amount: Option<i64>,
        /// Who says so and where they saw it. Kept with the order.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Resolution {
    /// It was done.
    Approved,
    /// It was refused.
    Declined,
    /// It was undone: nothing of it stands.
    Undone,
}

impl Resolution {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Undone => "undone",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// List events, newest first
    List {
        /// Only of this order.
        #[arg(long)]
        order: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        remote: Remote,
    },
    /// Send an event to its endpoints again
    Resend {
        /// The event, `evt_…`.
        id: String,
        /// Only to this endpoint.
        #[arg(long)]
        endpoint: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// Tell an address about events
    Create {
        /// The address.
        url: String,
        /// Names it wants, such as `order.captured` or `refund.*`. Repeat for several; all if none is given.
        #[arg(long)]
        event: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List endpoints
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Give an endpoint a new secret; the old one signs along for a day
    Rotate {
        /// The endpoint, `whe_…`.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove an endpoint
    Delete {
        /// The endpoint, `whe_…`.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List deliveries, newest first
    Deliveries {
        /// Only of this order.
        #[arg(long)]
        order: Option<String>,
        /// Only with this status: pending, succeeded, failed.
        #[arg(long)]
        status: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// Hand each event to this address on your machine, signed like a webhook.
    #[arg(long)]
    pub(crate) forward_to: Option<String>,
    /// Only these names, such as `order.captured` or `refund.*`.
    #[arg(long)]
    pub(crate) event: Vec<String>,
    /// Stop after this many events; 0 is never.
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u32,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct Trigger {
    /// The event to cause.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::client::trigger::events()))]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Balances of all accounts
    Balances {
        #[command(flatten)]
        remote: Remote,
    },
    /// Ledger entries as CSV (or NDJSON with --json), oldest first
    ///
    /// A line is one movement: `amount`, in minor units of `currency` (1099 is 10.99 EUR), goes from the account `credit` to the
    /// account `debit`, both kept for the provider `connection`. `phase` is `posted`, or `pended` when it is only reserved (a hold, a
    /// refund under way) and `released` when that ends. `template` is what it is for: `sale`, `capture`, `refund`, `fee`, `dispute`, …
    /// `order` and `event` lead to the rest (`florin get`); `id` is the line's own name and never changes.
    Export {
        /// From this moment on (RFC 3339, or a date).
        #[arg(long)]
        from: Option<String>,
        /// Before this moment.
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file to write; must not exist.
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) local: Local,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The file that `backup` wrote.
    #[arg(required_unless_present_any = ["settle", "compare"])]
    pub(crate) from: Option<PathBuf>,
    /// The database is back already (PostgreSQL): make it safe to work on, and compare it with the providers.
    #[arg(long, conflicts_with = "from")]
    pub(crate) settle: bool,
    /// Only compare the database with the providers, also while it is in use.
    #[arg(long, conflicts_with_all = ["from", "settle"])]
    pub(crate) compare: bool,
    #[command(flatten)]
    pub(crate) local: Local,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn walk(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path} says nothing");
                for arg in sub
                    .get_arguments()
                    .filter(|arg| arg.get_id() != "version" && arg.get_id() != "help")
                {
                    assert!(arg.get_help().is_some(), "{path} {} says nothing", arg.get_id());
                }
                walk(sub, &path);
            }
        }
        walk(&Cli::command(), "florin");
    }
}
