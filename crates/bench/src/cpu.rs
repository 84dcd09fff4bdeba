//! Meters that the kernel keeps: CPU time, bytes written and memory of processes, load and idle time of the machine.
//!
//! Linux only (`/proc`). CPU time comes in ticks of 10 ms, so a figure per request needs a sample of about a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// `/proc` counts CPU time in ticks of `USER_HZ`, which is 100 on every architecture that we run on.
const TICK_US: u64 = 10_000;

/// One process, as `/proc/PID/stat` tells it.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    name: String,
    /// User and system time of all its threads and of its children that have ended.
    cpu_us: u64,
}

/// CPU time of a process and of everything below it, ended children included.
///
/// # Errors
/// When the process is gone.
pub fn tree_cpu_us(root: u32) -> anyhow::Result<u64> {
    let processes = processes()?;
    anyhow::ensure!(processes.contains_key(&root), "process {root} has ended");
    let below = |pid: u32| {
        let mut above = pid;
        // A chain of parents is short; the bound guards against ids that were reused while we read.
        for _ in 0..64 {
            if above == root {
                return true;
            }
            match processes.get(&above) {
                Some(process) => above = process.parent,
                None => return false,
            }
        }
        false
    };
    Ok(processes
        .iter()
        .filter(|(pid, _)| below(**pid))
        .map(|(_, process)| process.cpu_us)
        .sum())
}

/// The parent of a process, when that has the same name: the postmaster of a PostgreSQL backend.
///
/// # Errors
/// When the process is gone or its parent is a different program.
pub fn parent_of_same_name(pid: u32) -> anyhow::Result<u32> {
    let processes = processes()?;
    let process = processes
        .get(&pid)
        .with_context(|| format!("process {pid} is not on this machine"))?;
    let parent = processes.get(&process.parent).map(|parent| &parent.name);
    anyhow::ensure!(
        parent == Some(&process.name),
        "the parent of process {pid} is another program"
    );
    Ok(process.parent)
}

fn processes() -> anyhow::Result<BTreeMap<u32, Process>> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        processes.insert(
            pid,
            read_stat(&stat).with_context(|| format!("cannot read /proc/{pid}/stat"))?,
        );
    }
    Ok(processes)
}

/// Fields are those of proc(5); the name stands in brackets and may hold anything, brackets too.
fn read_stat(stat: &str) -> Option<Process> {
    let (name_start, name_end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(name_end + 1..)?.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(number(4)?).ok()?,
        name: stat.get(name_start + 1..name_end)?.to_owned(),
        cpu_us: (number(14)? + number(15)? + number(16)? + number(17)?) * TICK_US,
    })
}

/// Bytes that a process has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Handed to `write` and its relatives: files, pipes, and sockets where they are written to and not sent to.
    pub asked_bytes: u64,
    /// Dirtied in the page cache, so to be written to the disk.
    pub disk_bytes: u64,
}

/// Bytes that a process has written so far.
///
/// # Errors
/// When the process is gone or belongs to somebody else.
pub fn written(pid: u32) -> anyhow::Result<Written> {
    let path = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let of = |name| value_of(&text, name).with_context(|| format!("{path} has no `{name}`"));
    Ok(Written {
        asked_bytes: of("wchar:")?,
        disk_bytes: of("write_bytes:")?,
    })
}

/// Resident memory of a process.
///
/// # Errors
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most memory that the process has had in use at any time.
///
/// # Errors
/// When the process is gone.
pub fn peak_resident_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(value_of(&text, name).with_context(|| format!("{path} has no `{name}`"))? * 1024)
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// CPU time that the whole machine has spent on anything.
///
/// # Errors
/// When `/proc/stat` is not as it should be.
pub fn machine_busy_us() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    busy_us(&stat).context("cannot read /proc/stat")
}

fn busy_us(stat: &str) -> Option<u64> {
    let cpu = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = cpu
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait left out), irq, softirq; steal belongs to other machines.
    let [user, nice, system, _idle, _waiting, hard, soft, ..] = ticks[..] else {
        return None;
    };
    Some((user + nice + system + hard + soft) * TICK_US)
}

/// The load average of the last minute.
///
/// # Errors
/// When `/proc/loadavg` is not as it should be.
pub fn load_average() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ')
        .next()
        .and_then(|minute| minute.parse().ok())
        .context("cannot read /proc/loadavg")
}

/// The kind of file system that a directory lies on.
///
/// # Errors
/// When the directory is not there.
pub fn file_system_of(directory: &Path) -> anyhow::Result<String> {
    let directory = fs::canonicalize(directory)?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    match file_system_in(&mounts, &directory) {
        Some(kind) => Ok(kind),
        // Under a changed root (chroot) the mount that holds it is not listed.
        None => file_system_asked(&directory).with_context(|| format!("no mount holds {}", directory.display())),
    }
}

/// The kind of file system, in the words of coreutils.
fn file_system_asked(directory: &Path) -> Option<String> {
    let asked = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(directory)
        .output()
        .ok()?;
    let kind = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    (asked.status.success() && !kind.is_empty()).then_some(kind)
}

/// The longest mount point above a path wins, and of several at one point the last.
fn file_system_in(mounts: &str, path: &Path) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?.replace("\\040", " ");
            path.starts_with(&point)
                .then_some((point.len(), fields.next()?.to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_brackets_in_its_name_is_read() {
        let stat = "4242 (postgres: a) (b) S 17 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 100 1 1";
        let process = read_stat(stat).unwrap();
        assert_eq!(
            process,
            Process {
                parent: 17,
                name: "postgres: a) (b".to_owned(),
                cpu_us: 260_000
            }
        );
        assert_eq!(read_stat("4242 (cut off) S 17"), None);
    }

    #[test]
    fn our_own_work_is_seen_in_our_tree_and_in_the_machine() {
        let (before, machine_before) = (tree_cpu_us(std::process::id()).unwrap(), machine_busy_us().unwrap());
        let start = std::time::Instant::now();
        let mut after = before;
        while after < before + 5 * TICK_US && start.elapsed().as_secs() < 20 {
            crate::cpuloop::blocks(10_000);
            after = tree_cpu_us(std::process::id()).unwrap();
        }
        assert!(after >= before + 5 * TICK_US, "{before} .. {after}");
        assert!(machine_busy_us().unwrap() >= machine_before + 4 * TICK_US);
    }

    #[test]
    fn time_of_an_ended_child_stays_with_its_parent() {
        let before = tree_cpu_us(std::process::id()).unwrap();
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
        assert!(tree_cpu_us(std::process::id()).unwrap() > before);
    }

    #[test]
    fn bytes_that_we_write_are_counted() {
        let path = std::env::temp_dir().join(format!("florin-bench-written-{}", std::process::id()));
        let before = written(std::process::id()).unwrap();
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        let after = written(std::process::id()).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(after.asked_bytes - before.asked_bytes >= 1 << 20);
        let resident = resident_bytes(std::process::id()).unwrap();
        assert!(resident > 1 << 20);
        assert!(peak_resident_bytes(std::process::id()).unwrap() >= resident / 2);
    }

    #[test]
    fn idle_time_is_not_busy_time() {
        assert_eq!(busy_us("cpu  1 2 3 1000 2000 4 5 600 0 0\ncpu0 1"), Some(15 * TICK_US));
        assert_eq!(busy_us("intr 1"), None);
    }

    #[test]
    fn the_nearest_mount_says_what_a_directory_lies_on() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/my\\040disk xfs rw 0 0\n";
        let on = |path: &str| file_system_in(mounts, Path::new(path)).unwrap();
        assert_eq!(
            (&*on("/var"), &*on("/tmp/a"), &*on("/tmp/my disk/b"), &*on("/tmpx")),
            ("ext4", "tmpfs", "xfs", "ext4")
        );
        assert_eq!(file_system_in("tmpfs /tmp tmpfs rw 0 0\n", Path::new("/var")), None);
        assert_eq!(file_system_asked(Path::new("/dev/shm")).as_deref(), Some("tmpfs"));
        assert_eq!(file_system_asked(Path::new("/nowhere")), None);
        assert!(load_average().unwrap() >= 0.0);
    }
}
