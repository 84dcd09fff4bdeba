//! Reads what a process did to its files from `strace`, and builds what a power cut would have left of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One call that a file, or a note, depends on.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        length: usize,
    },
    Remove {
        file: String,
    },
    /// Returned: what the file held when it began is on the disk. Another thread may have written to it since.
    Flushed {
        file: String,
        /// Calls before its begin.
        began: usize,
    },
    /// A line of the notes was written.
    Noted(String),
}

/// Arguments for `strace`: everything that [`read`] understands.
pub(crate) fn wrapper(output: &Path) -> Vec<String> {
    let calls = "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat";
    [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "1000000",
        "-e",
        "signal=none",
        "-e",
        calls,
        "-o",
        output.to_str().unwrap(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Reads a trace. `-shm` is left out: it is memory that does not outlive the process.
pub(crate) fn read(text: &str, folder: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    // Flushes that have begun, by thread: the return may stand on a later line.
    let mut flushing: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    // Writes that have begun: they count when they have ended, so that no flush of another thread takes one that was still under way.
    let mut writing: BTreeMap<&str, Call> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if rest.starts_with("<... f") && rest.contains("sync resumed>") {
            if let Some((file, began)) = flushing.remove(thread).filter(|_| rest.trim_end().ends_with("= 0")) {
                calls.push(Call::Flushed { file, began });
            }
            continue;
        }
        if rest.starts_with("<... pwrite64 resumed>") {
            calls.extend(writing.remove(thread));
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        let path = arguments
            .split_once('<')
            .and_then(|(_, path)| path.split_once('>'))
            .map(|(path, _)| string(path));
        let inside = |path: Option<String>| {
            let path = path?;
            let file = Path::new(&path).strip_prefix(folder).ok()?.to_str()?.to_owned();
            (!file.ends_with("-shm")).then_some(file)
        };
        match name {
            "write" if inside(path.clone()).as_deref() == Some("notes") => {
                calls.push(Call::Noted(
                    String::from_utf8_lossy(&quoted(arguments)).trim().to_owned(),
                ));
            }
            "pwrite64" => {
                let Some(file) = inside(path) else { continue };
                let bytes = quoted(arguments);
                let numbers: Vec<usize> = numbers_after_text(arguments);
                assert_eq!(bytes.len(), numbers[0], "the trace holds whole writes: {name}");
                let write = Call::Write {
                    file,
                    at: numbers[1],
                    bytes,
                };
                if rest.contains("<unfinished") {
                    writing.insert(thread, write);
                } else {
                    calls.push(write);
                }
            }
            "ftruncate" => {
                let Some(file) = inside(path) else { continue };
                let length = arguments
                    .split_once(", ")
                    .map_or("", |(_, rest)| rest)
                    .split([')', ' '])
                    .next()
                    .unwrap();
                calls.push(Call::Truncate {
                    file,
                    length: length.parse().unwrap(),
                });
            }
            "fsync" | "fdatasync" => {
                let Some(file) = inside(path) else { continue };
                if rest.contains("<unfinished") {
                    flushing.insert(thread, (file, calls.len()));
                } else if rest.trim_end().ends_with("= 0") {
                    let began = calls.len();
                    calls.push(Call::Flushed { file, began });
                }
            }
            "unlink" | "unlinkat" => {
                let path = String::from_utf8(quoted(arguments)).unwrap();
                if let Some(file) = inside(Some(path)) {
                    calls.push(Call::Remove { file });
                }
            }
            _ => {}
        }
    }
    calls
}

/// The text between the first quotes, decoded.
fn quoted(arguments: &str) -> Vec<u8> {
    let text = arguments.split('"').nth(1).unwrap_or_default();
    text.split("\\x")
        .skip(1)
        .map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap())
        .collect()
}

fn string(hex: &str) -> String {
    let bytes = hex
        .split("\\x")
        .skip(1)
        .map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap())
        .collect();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The numbers behind the text of a write: its length and its place.
fn numbers_after_text(arguments: &str) -> Vec<usize> {
    let rest = arguments.rsplit('"').next().unwrap();
    rest.split([',', ')', ' ', '='])
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Files as they stand: what is surely on the disk, and what was written since.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    safe: BTreeMap<String, Vec<u8>>,
    /// With their numbers.
    waiting: Vec<(usize, Call)>,
    calls: usize,
}

impl Disk {
    /// What the kernel holds after one more call.
    pub(crate) fn does(&mut self, call: &Call) {
        let number = self.calls;
        self.calls += 1;
        match call {
            Call::Flushed { file, began } => {
                let (flushed, waiting) =
                    (self.waiting.drain(..)).partition(|(number, call)| number < began && names(call) == Some(file));
                self.waiting = waiting;
                let flushed: Vec<(usize, Call)> = flushed;
                for (_, call) in &flushed {
                    apply(&mut self.safe, call);
                }
            }
            Call::Noted(_) => {}
            // Names are in a journal of their own; SQLite flushes the folder where it matters, so that this counts as done.
            Call::Remove { .. } => apply(&mut self.safe, call),
            Call::Write { .. } | Call::Truncate { .. } => self.waiting.push((number, call.clone())),
        }
    }

    /// How many writes wait for a flush.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes to a folder what is left when of the waiting writes only these arrived, and of the last of all only `torn` bytes.
    pub(crate) fn leave(&self, folder: &Path, arrived: &BTreeSet<usize>, torn: Option<usize>) {
        let mut files = self.safe.clone();
        let last = self.waiting.len().wrapping_sub(1);
        for (number, (_, call)) in self.waiting.iter().enumerate() {
            match (call, torn) {
                (Call::Write { file, at, bytes }, Some(torn)) if number == last => {
                    let bytes = bytes[..torn.min(bytes.len())].to_vec();
                    apply(
                        &mut files,
                        &Call::Write {
                            file: file.clone(),
                            at: *at,
                            bytes,
                        },
                    );
                }
                _ if arrived.contains(&number) => apply(&mut files, call),
                _ => {}
            }
        }
        for (file, bytes) in files {
            std::fs::write(folder.join(file), bytes).unwrap();
        }
    }
}

fn names(call: &Call) -> Option<&String> {
    match call {
        Call::Write { file, .. } | Call::Truncate { file, .. } | Call::Remove { file } | Call::Flushed { file, .. } => {
            Some(file)
        }
        Call::Noted(_) => None,
    }
}

fn apply(files: &mut BTreeMap<String, Vec<u8>>, call: &Call) {
    match call {
        Call::Write { file, at, bytes } => {
            let image = files.entry(file.clone()).or_default();
            if image.len() < at + bytes.len() {
                image.resize(at + bytes.len(), 0);
            }
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Call::Truncate { file, length } => files.entry(file.clone()).or_default().resize(*length, 0),
        Call::Remove { file } => drop(files.remove(file)),
        Call::Flushed { .. } | Call::Noted(_) => {}
    }
}
