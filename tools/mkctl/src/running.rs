// SPDX-License-Identifier: GPL-2.0

//! `log --running`: the log of a kernel that has not ended, which its memory has.

use crate::{
    error::{Error, Kind, Result},
    instance::{is_alive, Instance},
    log, output,
    wait::State,
};
use multikernel_portable::vmcore::{
    log as printk,
    note::{Note, HEAD},
    space::Space,
    Physical,
};
use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant as Time},
};

/// Most of a log that is read: four times what is kept of a life that ended.
const ROOM: usize = 1 << 20;
const PAGE: usize = 4096;
/// How often the log is read.
const LOOK: Duration = Duration::from_secs(1);
/// All memory is searched for a note: no oftener than so, where there is none for long.
const SEARCH: Duration = Duration::from_secs(60);

const PT_LOAD: u8 = 1;
const PT_NOTE: u8 = 4;

/// Memory, and where it is in the file.
struct Load {
    start: u64,
    size: u64,
    offset: u64,
}

/// The memory of one life.
struct Core {
    file: File,
    note: Vec<u8>,
    loads: Vec<Load>,
}

impl Core {
    /// Nothing if the kernel has not got as far as its note.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let (mut note, mut loads) = (Vec::new(), Vec::new());
        let mut head = [0; 64];
        file.read_exact_at(&mut head, 0)?;
        for number in 0..u16::from_le_bytes([head[56], head[57]]) {
            let mut program = [0; 56];
            file.read_exact_at(&mut program, 64 + 56 * u64::from(number))?;
            let field = |at: usize| {
                program[at..]
                    .first_chunk()
                    .map_or(0, |b| u64::from_le_bytes(*b))
            };
            let load = Load {
                start: field(24),
                size: field(32),
                offset: field(8),
            };
            match program[0] {
                PT_LOAD => loads.push(load),
                PT_NOTE => {
                    note = vec![0; load.size.min(2 * PAGE as u64) as usize];
                    file.read_exact_at(&mut note, load.offset)?;
                }
                _ => {}
            }
        }
        let text = note.get(HEAD..).unwrap_or_default();
        // It was padded.
        let text = text.split(|&b| b == 0).next().unwrap_or_default();
        Ok((!text.is_empty()).then(|| Self {
            note: text.to_vec(),
            file,
            loads,
        }))
    }

    /// Whether the next life has begun.
    fn is_over(&self) -> bool {
        self.file.read_at(&mut [0], 0).is_err()
    }

    /// What the log has now, if it can be read.
    fn log(&self) -> Option<Vec<u8>> {
        let note = Note {
            at: 0,
            text: &self.note,
        };
        let pages = Pages {
            core: self,
            known: RefCell::default(),
        };
        let space = Space::new(&pages, &note)?;
        let mut text = vec![0; ROOM];
        let log = printk::read(&space, &note, &mut text, || ())?;
        text.truncate(log.len);
        Some(text)
    }

    fn page(&self, start: u64) -> Option<[u8; PAGE]> {
        let mut page = [0; PAGE];
        let (load, within) = self.loads.iter().find_map(|load| {
            let within = start.checked_sub(load.start)?;
            let end = within.checked_add(PAGE as u64)?;
            (end <= load.size).then_some((load, within))
        })?;
        let at = load.offset.checked_add(within)?;
        self.file.read_exact_at(&mut page, at).ok().map(|()| page)
    }
}

/// Memory as it was when it was first looked at: most of what is read is in a few pages.
struct Pages<'c> {
    core: &'c Core,
    known: RefCell<HashMap<u64, Option<[u8; PAGE]>>>,
}

impl Physical for Pages<'_> {
    fn read(&self, at: u64, mut to: &mut [u8]) -> bool {
        let (mut start, mut within) = (at - at % PAGE as u64, at as usize % PAGE);
        let mut known = self.known.borrow_mut();
        while !to.is_empty() {
            let page = known.entry(start).or_insert_with(|| self.core.page(start));
            let Some(from) = page.as_ref().map(|page| &page[within..]) else {
                return false;
            };
            let (part, rest) = to.split_at_mut(from.len().min(to.len()));
            part.copy_from_slice(&from[..part.len()]);
            (start, within, to) = (start.wrapping_add(PAGE as u64), 0, rest);
        }
        true
    }
}

/// Prints the log; `follow` goes on with what is new, until this life ends.
pub fn print(instance: &Instance, follow: bool) -> Result {
    let mut state = State::open(instance)?;
    let before = log::last(instance).map(|(header, _)| header);
    let path = instance.device("vmcore");
    let mut core = None;
    let mut last = Vec::new();
    let (mut pause, mut search) = (LOOK, Time::now());
    let first = state.get()?;
    if !is_alive(&first) {
        let remedy = format!("mkctl log {instance} has the lives that ended");
        return Err(Error::new(Kind::WrongState, format!("{instance} is {first}")).add(remedy));
    }
    loop {
        // Before the log: what is dead has said all.
        let has_ended = !state.get().is_ok_and(|state| is_alive(&state));
        if core.is_none() && !has_ended && search <= Time::now() {
            core = Core::open(&instance.host.path(&path)).map_err(|e| explain(&path, &e))?;
            search = Time::now() + pause;
            pause = (2 * pause).min(SEARCH);
        }
        let is_over = core.as_ref().is_some_and(Core::is_over);
        let text = core.as_ref().filter(|_| !is_over).and_then(Core::log);
        show(text.as_deref().unwrap_or_default(), &mut last)?;
        if !follow {
            let what = format!("{instance}: its memory has no log yet, or none that is known");
            return text.map(drop).ok_or_else(|| Error::new(Kind::Failed, what));
        }
        if has_ended || is_over {
            // What it has said since.
            let kept = log::last(instance).filter(|(header, _)| Some(header) != before.as_ref());
            return show(&kept.unwrap_or_default().1, &mut last);
        }
        state.wait(LOOK)?;
    }
}

fn explain(path: &str, error: &io::Error) -> Error {
    let error = Error::system(path, error);
    match error.kind {
        Kind::NotPermitted => error.add("It takes root with CAP_SYS_ADMIN, and no lockdown"),
        // Not an instance that is missing.
        Kind::NoInstance => Error::new(Kind::WrongState, error.what),
        _ => error,
    }
}

/// Prints what is new.
fn show(text: &[u8], last: &mut Vec<u8>) -> Result {
    let new = newer(text, last);
    if let Some(line) = new.split_inclusive(|&b| b == b'\n').next_back() {
        *last = line.to_vec();
        output::print(new)?;
    }
    Ok(())
}

/// What follows the line that was printed last. If that is there no more, or has become longer, it is the
/// lines that are not older.
fn newer<'t>(text: &'t [u8], last: &[u8]) -> &'t [u8] {
    let (mut at, mut seen, mut later) = (0, None, None);
    for line in text.split_inclusive(|&b| b == b'\n') {
        if later.is_none() && time(line) >= time(last) {
            later = Some(at);
        }
        at += line.len();
        if line == last {
            seen = Some(at);
        }
    }
    &text[seen.or(later).unwrap_or(at)..]
}

/// Of "[seconds.micros] text", in microseconds.
fn time(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|&b| b == b']')?;
    let time = std::str::from_utf8(line.get(1..end)?).ok()?;
    let (seconds, micros) = time.trim_start().split_once('.')?;
    format!("{seconds}{micros}").parse().ok()
}

#[cfg(test)]
#[path = "../../../rust/portable/tests/vmcore_common/mod.rs"]
mod made_up;

#[cfg(test)]
mod tests {
    use super::{
        made_up::{Kind as Sort, Spawn, NOTE, START},
        *,
    };
    use crate::host::tests::{put_over, Tree};
    use multikernel_portable::vmcore::{elf, note};
    use std::{fs, thread};

    const VMCORE: &str = "/dev/multikernel/web/vmcore";
    const STATE: &str = "/sys/class/multikernel/web/state";

    fn tree(state: &str) -> Tree {
        Tree::new(&[(STATE, state), (VMCORE, "")])
    }

    /// As the device shows it.
    fn put(tree: &Tree, spawn: &Spawn) {
        let mut text = [0; note::TEXT_MAX];
        let note = Note::read(spawn, START + NOTE as u64, &mut text);
        let space = note.as_ref().and_then(|note| Space::new(spawn, note));
        let ranges = [Spawn::range()];
        let core = elf::Core::new(&ranges, space.as_ref().zip(note));
        let mut file = vec![0; core.headers_len()];
        core.write(&mut file).unwrap();
        file.extend(&spawn.bytes);
        fs::write(tree.host.path(VMCORE), file).unwrap();
    }

    fn open(tree: &Tree) -> Option<Core> {
        Core::open(&tree.host.path(VMCORE)).unwrap()
    }

    #[test]
    fn the_log_of_a_made_up_kernel() {
        let tree = tree("running");
        for levels in [4, 5] {
            let mut spawn = Spawn::new(Sort {
                levels,
                ..Sort::default()
            });
            spawn.print(0, 0, b"Linux version 6.18");
            spawn.print(1_234_567_890, 0, b"two\nlines");
            put(&tree, &spawn);
            let text = open(&tree).unwrap().log().unwrap();
            let expected =
                "[    0.000000] Linux version 6.18\n[    1.234567] two\n[    1.234567] lines\n";
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
        print(&tree.instance("web"), false).unwrap();
    }

    #[test]
    fn without_a_note_there_is_none_yet() {
        let tree = tree("starting");
        let mut spawn = Spawn::new(Sort::default());
        spawn.bytes[NOTE] = 0;
        put(&tree, &spawn);
        assert!(open(&tree).is_none());
        let error = print(&tree.instance("web"), false).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
    }

    #[test]
    fn memory_that_is_not_all_there() {
        let tree = tree("running");
        put(&tree, &Spawn::new(Sort::default()));
        let core = open(&tree).unwrap();
        File::options()
            .write(true)
            .open(tree.host.path(VMCORE))
            .unwrap()
            .set_len(8192)
            .unwrap();
        assert!(core.log().is_none());
        assert!(!core.is_over());
    }

    #[test]
    fn what_is_dead_does_not_run() {
        let error = print(&tree("halted").instance("web"), true).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
        assert_eq!(error.what, "web is halted");
    }

    #[test]
    fn its_end_is_the_end() {
        let tree = tree("running");
        put(&tree, &Spawn::new(Sort::default()));
        let state = tree.host.path(STATE);
        let end = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            put_over(&state, "panicked");
        });
        print(&tree.instance("web"), true).unwrap();
        end.join().unwrap();
    }

    #[test]
    fn lines_that_are_new() {
        let text = b"[    1.000000] a\n[    2.000000] b\n[    2.000000] b\n[   10.000000] c\n";
        let new = |last: &str| String::from_utf8_lossy(newer(text, last.as_bytes())).into_owned();
        assert_eq!(new("").len(), text.len());
        assert_eq!(new("[    2.000000] b\n"), "[   10.000000] c\n");
        assert_eq!(new("[   10.000000] c\n"), "");
        // It has become longer.
        assert_eq!(new("[   10.000000] \n"), "[   10.000000] c\n");
        // It has been overwritten.
        assert_eq!(new("[    0.500000] x\n").len(), text.len());
        assert_eq!(new("[    9.000000] x\n"), "[   10.000000] c\n");
        assert_eq!(new("[   11.000000] x\n"), "");
    }
}
