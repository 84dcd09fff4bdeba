//! Callers and providers that work on the machine they measure.
//!
//! Elsewhere a caller has processors of its own. Here each answer that the server sends wakes the load generator, and the kernel lets whoever
//! is woken go first: the server is stopped in the middle of its work for every single answer, two or three times a sale. Under the
//! kernel's batch class (`SCHED_BATCH`) a process that is woken waits for its turn, as a packet on its way would. It gets no less time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Starts a program under another class of scheduling; part of every Linux (util-linux).
const CHRT: &str = "chrt";

/// A command for a program that never interrupts another: a load generator, a stand-in provider, `pgbench` itself. Where the machine cannot
/// do that ([`works`]) it runs like any other.
pub(crate) fn command(program: &Path) -> Command {
    if works() {
        let mut command = Command::new(CHRT);
        command.args(["--batch", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Whether callers stand aside on this machine.
pub(crate) fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        Command::new(CHRT)
            .args(["--batch", "0", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the machine can do, the program runs, with its arguments, as the process that was started.
    #[test]
    fn a_program_runs_under_its_own_process_id() {
        let mut shell = command(Path::new("/bin/sh"));
        let child = shell
            .args(["-c", "echo $$; chrt --pid $$ 2>&1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(said.lines().next(), Some(id.to_string().as_str()), "{said}");
        assert_eq!(said.contains("SCHED_BATCH"), works(), "{said}");
    }
}
