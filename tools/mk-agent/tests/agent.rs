// SPDX-License-Identifier: GPL-2.0

//! A real mk-agent, and a host that shares a file with it.

mod side;

use multikernel_portable::{
    channel::{
        control::Control,
        hello::{Verdict, ECHO},
        message::Class,
        shared::Shared,
        status::CPUS, //
    },
    cpu_list::CpuSet,
};
use side::{text, until, Host, Signal, Spawn, SIZE};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

const SHELL: &[&str] = &["--no-ports", "--console", "env", "PS1=ready>", "/bin/sh"];
const PORTS: &[&str] = &["--no-console"];
const NEITHER: &[&str] = &["--no-console", "--no-ports"];

/// Not compressible, and the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn each_cpu_beats() {
    let mut spawn = Spawn::new();
    let (memory, status) = (spawn.memory(), spawn.status());
    // Of a CPU that an agent before had, and that is no more.
    status.beat(&memory, CPUS - 1);
    spawn.start(NEITHER);
    let mut host = spawn.host();
    host.meet();
    let promise = host.link.terms().unwrap().peer_beat_ms;
    assert!([250, 2000].contains(&promise), "{promise}");
    let online = text("/sys/devices/system/cpu/online".as_ref()).unwrap();
    let online = CpuSet::parse(online.trim().as_bytes()).unwrap();
    let beats = |cpu| status.beats(&memory, cpu);
    for cpu in online
        .iter()
        .map(|cpu| cpu as usize)
        .filter(|&cpu| cpu < CPUS)
    {
        until("a beat", || (beats(cpu) > 0).then_some(()));
        let first = beats(cpu);
        until("three beats", || (beats(cpu) >= first + 3).then_some(()));
    }
    assert_eq!(
        (0..CPUS).filter(|&cpu| beats(cpu) > 0).count(),
        online.iter().count().min(CPUS)
    );
}

#[test]
fn a_shell_on_the_console() {
    let (mut spawn, mut host) = Spawn::meet(SHELL);
    host.open_console();
    host.asks("echo $((6 * 7))x", "42x");
    host.asks("echo $((6 * 7))y >/dev/tty", "42y");
    host.control(Control::Resize(1, 33 << 16 | 101));
    host.asks("stty size", "33 101");
    // Of a port that is no terminal.
    host.control(Control::Resize(2, 1 << 16 | 1));
    host.asks("stty size", "33 101");
    // Another shell, of the same size.
    host.asks("echo $((6 * 7))pid$$.; exit", "42pid");
    let first = host.hears(".");
    host.hears("ready>");
    host.asks("stty size; echo $((6 * 7))pid$$.", "33 101");
    host.hears("42pid");
    assert_ne!(host.hears("."), first);
    // Far more than both windows.
    host.asks("seq 200000; echo $((6 * 7))x", "42x");
    assert!(spawn.is_alive());
}

#[test]
fn a_host_that_starts_again_finds_the_same_shell() {
    let (spawn, mut host) = Spawn::meet(SHELL);
    host.open_console();
    host.asks("mine=$((6 * 7)); echo set", "set\r");
    for generation in [100, 200] {
        // What is typed and not taken is lost with the session.
        host = Host::new(spawn.memory(), generation);
        host.meet();
        host.open_console();
        host.asks("echo ${mine}x", "42x");
    }
    host.link.close(Verdict::Violation);
    host = Host::new(spawn.memory(), 300);
    host.meet();
    host.open_console();
    host.asks("echo ${mine}x", "42x");
}

#[test]
fn a_console_that_the_host_closes_opens_again() {
    let (_spawn, mut host) = Spawn::meet(SHELL);
    host.open_console();
    for errno in [0, 5] {
        host.asks("echo $((6 * 7))x", "42x");
        host.ports.close(&mut host.link, 1, errno).unwrap();
        host.until("the other end to close", |host| {
            host.port(1).closed.is_some()
        });
        *host.port(1) = side::Port::default();
        host.open(1);
        host.until("the other end to open", |host| host.port(1).opened);
    }
    host.asks("echo $((6 * 7))x", "42x");
}

#[test]
fn a_port_is_a_socket() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let path = spawn.path("port3");
    until("a socket", || path.exists().then_some(()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut random = Random(7);
    for _ in 0..2 {
        let (to, from) = (random.bytes(1 << 20), random.bytes(1 << 20));
        let mut client = UnixStream::connect(&path).unwrap();
        let mut reader = client.try_clone().unwrap();
        let sent = to.clone();
        let writes = thread::spawn(move || {
            client.write_all(&sent).unwrap();
            client
        });
        let reads = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        host.until("an open port", |host| host.port(3).opened);
        host.open(3);
        host.send(3, &from);
        host.ports.close(&mut host.link, 3, 0).unwrap();
        host.until("the client to see the end", |_| reads.is_finished());
        assert!(reads.join().unwrap() == from);
        // Its own direction is open still.
        host.until("all to be sent", |_| writes.is_finished());
        writes.join().unwrap().shutdown(Shutdown::Write).unwrap();
        host.until("the end", |host| host.port(3).closed.is_some());
        assert!(host.port(3).bytes == to);
        assert_eq!(host.port(3).closed, Some(0));
        // The next one is another stream.
        *host.port(3) = side::Port::default();
    }
}

#[test]
fn a_client_that_goes_and_one_that_waits() {
    for knows_stop in [true, false] {
        goes_and_waits(knows_stop);
    }
}

fn goes_and_waits(knows_stop: bool) {
    let (spawn, mut host) = Spawn::meet(PORTS);
    if !knows_stop {
        host = Host::offering(ECHO, spawn.memory(), 100);
        host.meet();
    }
    let path = spawn.path("port2");
    let client = until("a socket", || UnixStream::connect(&path).ok());
    let mut next = UnixStream::connect(&path).unwrap();
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    drop(client);
    if knows_stop {
        host.until("its death", |host| host.port(2).closed == Some(32));
    } else {
        host.until("the end", |host| host.port(2).closed.is_some());
        // More than the window: somebody takes it.
        host.send(2, &[7; 200_000]);
    }
    host.ports.close(&mut host.link, 2, 0).unwrap();
    *host.port(2) = side::Port::default();
    host.until("the next one", |host| host.port(2).opened);
    host.open(2);
    host.send(2, b"for you");
    let mut bytes = [0; 7];
    next.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"for you");
    // The host wants no more.
    host.ports.close(&mut host.link, 2, 5).unwrap();
    assert_eq!(next.read(&mut bytes).unwrap(), 0);
    host.until("the end", |host| host.port(2).closed.is_some());
}

#[test]
fn a_client_that_dies_behind_its_end() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let path = spawn.path("port2");
    for _ in 0..2 {
        let mut client = until("a socket", || UnixStream::connect(&path).ok());
        host.until("an open port", |host| host.port(2).opened);
        host.open(2);
        client.write_all(b"all").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        host.until("the end", |host| host.port(2).closed == Some(0));
        host.send(2, &[7; 20_000]);
        // It may read all of it.
        thread::sleep(Duration::from_millis(50));
        host.turn();
        assert_eq!(host.port(2).closed, Some(0));
        drop(client);
        host.until("its death", |host| host.port(2).closed == Some(32));
        assert_eq!(host.port(2).bytes, b"all");
        host.ports.close(&mut host.link, 2, 0).unwrap();
        *host.port(2) = side::Port::default();
    }
}

/// The host takes nothing yet.
#[test]
fn a_client_that_dies_while_it_waits() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let path = spawn.path("port2");
    let client = until("a socket", || UnixStream::connect(&path).ok());
    host.until("an open port", |host| host.port(2).opened);
    drop(client);
    host.until("its death", |host| host.port(2).closed == Some(32));
    host.open(2);
    host.ports.close(&mut host.link, 2, 0).unwrap();
    *host.port(2) = side::Port::default();
    // What one has sent is not lost, however short its life.
    let mut client = UnixStream::connect(&path).unwrap();
    host.until("an open port", |host| host.port(2).opened);
    client.write_all(b"all").unwrap();
    drop(client);
    thread::sleep(Duration::from_millis(50));
    host.turn();
    assert_eq!(host.port(2).closed, None);
    host.open(2);
    host.until("its death", |host| host.port(2).closed == Some(32));
    assert_eq!(host.port(2).bytes, b"all");
}

/// It has gone, and what it was sent meanwhile is for nobody.
#[test]
fn a_client_that_takes_nothing_has_sent_all_the_same() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let path = spawn.path("port2");
    let mut client = until("a socket", || UnixStream::connect(&path).ok());
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    let bytes = Random(7).bytes(30_000);
    spawn.signal(Signal::STOP);
    host.send(2, b"for nobody");
    client.write_all(&bytes).unwrap();
    drop(client);
    spawn.signal(Signal::CONT);
    host.until("the end", |host| host.port(2).closed.is_some());
    assert!(host.port(2).bytes == bytes);
}

/// An agent that has just answered an echo request looks for the next message, and that one is the first of
/// another turn.
#[test]
fn nothing_is_lost_behind_an_echo() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let path = spawn.path("port2");
    let mut client = until("a socket", || UnixStream::connect(&path).ok());
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    let mut bytes = [0; 256];
    host.send(2, b"?");
    client.read_exact(&mut bytes[..1]).unwrap();
    spawn.signal(Signal::STOP);
    let send = |host: &mut Host| host.ports.send(&mut host.link, 2, b".").unwrap();
    for _ in 1..256 {
        send(&mut host);
    }
    let mut request = Control::EchoRequest(1000).encode().to_vec();
    request.extend([0; 8]);
    host.link.send(Class::Control, &request).unwrap();
    send(&mut host);
    spawn.signal(Signal::CONT);
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [b'.'; 256]);
}

#[test]
fn a_client_without_socat() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    until("a socket", || spawn.path("port2").exists().then_some(()));
    let bytes = Random(9).bytes(100_000);
    let input = spawn.path("input");
    std::fs::write(&input, &bytes).unwrap();
    let client = spawn
        .command(&["--connect", "2"])
        .stdin(std::fs::File::open(input).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    host.until("the end", |host| host.port(2).closed == Some(0));
    assert!(host.port(2).bytes == bytes);
    host.send(2, &bytes);
    host.ports.close(&mut host.link, 2, 0).unwrap();
    let output = thread::spawn(|| client.wait_with_output().unwrap());
    host.until("the client's end", |_| output.is_finished());
    assert!(output.join().unwrap().stdout == bytes);
}

#[test]
fn a_client_holds_nothing_back() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    until("a socket", || spawn.path("port2").exists().then_some(()));
    let mut client = spawn
        .command(&["--connect", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    for turn in 1..=3 {
        host.send(2, b"no line");
        let mut bytes = [0; 7];
        output.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"no line");
        input.write_all(b"nor this").unwrap();
        host.until("an answer", |host| host.port(2).bytes.len() == 8 * turn);
    }
    // It ends with what the host sends, whatever standard input still has.
    host.ports.close(&mut host.link, 2, 0).unwrap();
    host.until("the client's end", |_| client.try_wait().unwrap().is_some());
    assert_eq!(client.wait().unwrap().code(), Some(0));
    drop(input);
}

#[test]
fn a_client_whose_input_fails() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    until("a socket", || spawn.path("port2").exists().then_some(()));
    let client = spawn
        .command(&["--connect", "2"])
        // Nobody can read a folder.
        .stdin(std::fs::File::open(spawn.path(".")).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    host.until("an open port", |host| host.port(2).opened);
    host.open(2);
    host.until("the end", |host| host.port(2).closed == Some(0));
    host.ports.close(&mut host.link, 2, 0).unwrap();
    let output = thread::spawn(|| client.wait_with_output().unwrap());
    host.until("the client's end", |_| output.is_finished());
    let output = output.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard input: Is a directory"), "{said}");
}

/// As long as standard input goes on, it can tell.
#[test]
fn a_client_whose_stream_is_cut() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    until("a socket", || spawn.path("port2").exists().then_some(()));
    for (turn, writes) in [false, true].into_iter().enumerate() {
        let mut client = spawn
            .command(&["--connect", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = client.stdin.take().unwrap();
        host.until("an open port", |host| host.port(2).opened);
        host.open(2);
        host.send(2, b"half");
        let mut bytes = [0; 4];
        client
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut bytes)
            .unwrap();
        if writes {
            // It finds out by writing.
            spawn.signal(Signal::STOP);
        }
        host = Host::new(spawn.memory(), 100 * (turn as u32 + 1));
        if writes {
            input.write_all(b"more").unwrap();
            spawn.signal(Signal::CONT);
        }
        let output = thread::spawn(|| client.wait_with_output().unwrap());
        until("the client's end", || output.is_finished().then_some(()));
        let output = output.join().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(writes || said.contains("cut"), "{said}");
        drop(input);
        host.meet();
    }
}

#[test]
fn a_session_that_ends_ends_the_clients() {
    let (spawn, mut host) = Spawn::meet(PORTS);
    let mut client = until("a socket", || UnixStream::connect(spawn.path("port4")).ok());
    host.until("an open port", |host| host.port(4).opened);
    host = Host::new(spawn.memory(), 100);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    host.meet();
    let _client = UnixStream::connect(spawn.path("port4")).unwrap();
    host.until("an open port", |host| host.port(4).opened);
}

#[test]
fn ports_that_nobody_has_are_refused() {
    let (_spawn, mut host) = Spawn::meet(NEITHER);
    for number in [1, 2, 63, 63] {
        host.open(number);
        host.until("a refusal", |host| host.port(number).closed == Some(111));
        host.ports.close(&mut host.link, number, 0).unwrap();
        *host.port(number) = side::Port::default();
    }
    // Closed without having been opened, too.
    host.ports.close(&mut host.link, 9, 0).unwrap();
    host.until("an answer", |host| host.port(9).closed.is_some());
    host.open(9);
}

#[test]
fn a_shutdown_is_answered_and_runs_the_command() {
    let mut spawn = Spawn::new();
    let done = spawn.path("done");
    let command = format!("echo down >{}; sleep 0.2", done.display());
    spawn.start(&["--no-console", "--no-ports", "--shutdown-command", &command]);
    let mut host = spawn.host();
    host.meet();
    host.control(Control::Shutdown(50));
    host.control(Control::Reboot(0));
    host.until("two answers", |host| host.answers.len() == 2);
    assert_eq!(host.answers, [0, 114]);
    until("the command", || {
        text(&done).filter(|text| text == "down\n")
    });
    // Its time is up, and nobody forces it here.
    thread::sleep(Duration::from_millis(200));
    assert!(spawn.is_alive());
}

#[test]
fn a_reboot_has_a_command_of_its_own() {
    let mut spawn = Spawn::new();
    let done = spawn.path("done");
    let command = format!("echo again >{}", done.display());
    spawn.start(&["--no-console", "--no-ports", "--reboot-command", &command]);
    let mut host = spawn.host();
    host.meet();
    host.control(Control::Reboot(50));
    host.until("an answer", |host| host.answers == [0]);
    until("the command", || {
        text(&done).filter(|text| text == "again\n")
    });
}

#[test]
fn without_a_region_it_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mk-agent"))
        .args(["--no-force", "--no-console", "--no-ports"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_client_without_an_agent_is_told_what_to_do() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mk-agent"))
        .args(["--connect", "2", "--sockets", "/nowhere"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/nowhere/port2: "), "{said}");
    assert!(said.contains("mk-agent must run here"), "{said}");
}

#[test]
fn a_shutdown_that_fails_can_be_asked_for_again() {
    let mut spawn = Spawn::new();
    let done = spawn.path("done");
    let command = format!("echo down >>{}; false", done.display());
    spawn.start(&["--no-console", "--no-ports", "--shutdown-command", &command]);
    let mut host = spawn.host();
    host.meet();
    host.until("two turns", |host| {
        host.control(Control::Shutdown(0));
        thread::sleep(Duration::from_millis(10));
        text(&done).is_some_and(|text| text.starts_with("down\ndown\n"))
    });
}

#[test]
fn a_signal_is_a_farewell() {
    let (mut spawn, mut host) = Spawn::meet(PORTS);
    let socket = spawn.path("port2");
    until("a socket", || socket.exists().then_some(()));
    assert_eq!(spawn.terminate().code(), Some(0));
    host.until("the end", |host| host.link.verdict() == Some(Verdict::Gone));
    assert!(!socket.exists());
    // Another one takes its place.
    spawn.start(NEITHER);
    host.meet();
}

/// It stays so for the agent, and for none of its children.
#[test]
fn a_signal_that_was_ignored() {
    let mut spawn = Spawn::new();
    spawn.start_without_hangup(SHELL);
    let mut host = spawn.host();
    host.meet();
    host.open_console();
    spawn.signal(Signal::HUP);
    host.asks("sh -c 'kill -HUP $$'; echo status$?.", "status129.");
    assert!(spawn.is_alive());
    assert_eq!(spawn.terminate().code(), Some(0));
}

#[test]
fn what_cannot_run_says_why() {
    let (spawn, _host) = Spawn::meet(NEITHER);
    let fails = |more: &[&str], status, said: &str| {
        let output = spawn.fails(more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(said), "{text}");
    };
    fails(NEITHER, 1, "another mk-agent speaks");
    let part = |file: &str, part: &str| {
        let path = spawn.path(file);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mk-agent"));
        command.arg("--no-force").arg("--region");
        let output = command
            .arg(format!("{}{part}", path.display()))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (status, said) = part("region", ":0:12345");
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("12345 bytes"), "{said}");
    let (status, said) = part("region", ":0x20000:0x40000");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("has 262144 bytes only"), "{said}");
    assert_eq!(part("nothing", "").0, Some(1));
}

/// All bytes of the host's section at any time, then an honest host in the same place.
#[test]
fn a_hostile_host_ends_nothing() {
    let mut spawn = Spawn::new();
    // Not a shell that reads: it would run what comes.
    let cat = "trap '' INT QUIT; exec cat";
    spawn.start(&["--console", "sh", "-c", cat]);
    let memory = spawn.memory();
    let mut random = Random(0x5eed);
    let mut generation = 0;
    let mut sessions = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        generation += 1000;
        let mut host = Host::new(memory, generation);
        let patience = Instant::now();
        while host.link.terms().is_none() && patience.elapsed() < Duration::from_millis(300) {
            _ = host.link.poll();
        }
        sessions += usize::from(host.link.terms().is_some());
        for _ in 0..random.next() % 200 {
            let mut word = random.next();
            match random.next() % 4 {
                // A word anywhere in its section, more often where it is looked at.
                0 => memory.store((random.next() % (SIZE as u64 / 2)) as usize & !7, word),
                1 => memory.store((random.next() % 0x200) as usize & !7, word),
                // A message of a known kind.
                2 => {
                    word = word & !0xff_fff8 | word >> 32 & 3 << 16;
                    _ = host.link.send(Class::Control, &word.to_le_bytes());
                }
                _ => {
                    let length = word as usize % 5000;
                    let bytes = random.bytes(length);
                    _ = host
                        .link
                        .send(Class::Port(1 + (word >> 60) as u16 % 4), &bytes);
                }
            }
            if random.next() % 16 == 0 {
                thread::sleep(Duration::from_micros(300));
            }
        }
        assert!(spawn.is_alive());
    }
    assert!(sessions > 0, "it was never spoken with");
    let mut host = Host::new(memory, generation + 1000);
    host.meet();
    host.open_console();
    // What the other one typed may be half a line, or have stopped the terminal.
    host.send(1, b"\x11\x03\n");
    host.asks("all is well", "all is well");
    // The first was the echo.
    host.hears("all is well");
}
