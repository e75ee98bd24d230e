// SPDX-License-Identifier: GPL-2.0

//! The command line. Stands alone: the man pages and completions are made of it, too.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use multikernel_portable::{cpu_list::CpuSet, name::Name, size};
use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  What can this machine do?
      mkctl check
  Run a kernel on CPUs 2 and 3, and start it again when it crashes:
      mkctl run web --cpus 2-3 --memory 512M --restart on-failure \\
            --initrd initrd.img --append 'console=ttyS1,115200' vmlinuz
  What runs, and why does the rest not?
      mkctl list
  Wait for its end, then read what it said:
      mkctl wait web && mkctl log web
  A shell in it, if mk-agent runs there:
      mkctl console web
  How long does a message to it take, and back?
      mkctl ping web
  Remove it, and give CPUs and memory back to the host:
      mkctl rm --force --online web

Exit status:
  0    done
  1    failed for another reason than these
  2    the command line is wrong
  3    there is no such instance
  4    the instance is in a state in which this cannot be done
  5    the time is up
  6    not permitted
  7    the host is not ready: the module, configfs or kexec is missing
  130  interrupted; what was made is undone, unless it runs already";

/// Runs and looks after kernels beside the running one.
#[derive(Parser)]
#[command(name = "mkctl", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Tell whether this machine can lend CPUs, line by line, with remedies
    ///
    /// Each line is ok, warning or missing. The exit status is 1 if anything is missing.
    Check {
        /// An array of objects: check, status, text, remedy
        #[arg(long)]
        json: bool,
    },
    /// Show all instances
    #[command(after_help = "\
In JSON each column of /proc/multikernel is a member, in lower case: id, name, state, cpus (an array),
memory (bytes), kernel, seconds (in that state), starts, reason, silence (seconds since a CPU of it
had its last beat, the longest of all), and those of newer kernels. `detail` is
what `reason` says beyond its first word, as the line of a panic. What is not known is null.

Example: the names of all that died of a panic
  mkctl list --json | jq -r '.[] | select(.state == \"panicked\") | .name'")]
    List {
        /// An array of objects
        #[arg(long)]
        json: bool,
    },
    /// Make an instance, load a kernel into it and start it
    ///
    /// Takes the CPUs offline. If a step fails, what was made before is undone, and the step is named.
    #[command(after_help = "\
Examples:
  mkctl run web --cpus 2-3 --memory 512M --initrd initrd.img vmlinuz
  mkctl run web -c 2 -m 256M -r always -a 'console=ttyS1,115200 quiet' vmlinuz")]
    Run(RunArgs),
    /// Use the shell that mk-agent gives in an instance
    ///
    /// Shows what was said there from boot on, as far as it is kept (64 KiB), then passes each key but one.
    /// Several can look at once, and type. Ends when the instance does, and says how. Waits for mk-agent to
    /// come up. When the input is no terminal, its bytes are passed, and after its end words still come.
    #[command(after_help = "\
Examples:
  mkctl console web                               # Ctrl-] leaves it
  mkctl console web --escape ^A
  echo 'poweroff -f' | mkctl console web --wait 10")]
    Console {
        /// The key that leaves: ^], another one with Ctrl, a character, or none
        #[arg(short, long, value_name = "KEY", default_value_t = Escape::default(), value_parser = escape)]
        escape: Escape,
        #[command(flatten)]
        wait: Wait,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Send a file, or stdin, to a port of an instance
    ///
    /// In the instance it is read from the socket /run/multikernel/portN, which mk-agent makes there. Waits
    /// until somebody there connects, also when there is nothing to be sent. Who reads there cannot tell what
    /// was interrupted from what is done: send a length or a checksum along where that matters. Two who send
    /// at once are mixed.
    #[command(after_help = "\
Example:
  mkctl send web 2 data.tar                       # in web: mk-agent --connect 2 </dev/null | tar -x

Exit status: 0 all was sent, 1 the other side closed before, 4 the instance has ended.")]
    Send {
        #[command(flatten)]
        wait: Wait,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
        /// 2, 3 or 4
        #[arg(value_parser = clap::value_parser!(u16).range(2..=4))]
        port: u16,
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Receive from a port of an instance, to stdout, until the other side closes
    ///
    /// A stream is read once: who is interrupted and begins again has the rest of it, and two who receive at
    /// once have parts. --wait is for the first byte.
    #[command(after_help = "\
Example:
  mkctl recv web 3 >answer                        # in web: mk-agent --connect 3 <answer

Exit status: 0 the other side closed, 1 its agent ended before, 4 the instance has ended.")]
    Recv {
        #[command(flatten)]
        wait: Wait,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
        /// 2, 3 or 4
        #[arg(value_parser = clap::value_parser!(u16).range(2..=4))]
        port: u16,
    },
    /// Tell how long a message takes to the kernel of an instance and back
    ///
    /// The module in it answers, or its mk-agent; nobody has to use a port there. Each message waits for the
    /// answer to the one before.
    #[command(after_help = "\
Without --poll it is the time of a message that finds the other side asleep, or nearly: a doorbell
wakes the module, mk-agent looks now and then. A doorbell wakes this side as well, but with --wake it
looks for the answer without a pause, for up to 50 us, before it sleeps. With --poll both sides do so:
the time that the way itself takes.

Examples:
  mkctl ping web
  mkctl ping web --poll --count 1000 --size 4096
  mkctl ping web --wake --json | jq .median_ns

Exit status: 0 all answers came, 4 nobody in it speaks to the host, or another ping of it runs,
5 an answer did not come within a second.")]
    Ping {
        /// So many messages, 1 to 1000
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// Bytes in each, 8 to 4096
        #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=4096))]
        size: u16,
        /// Look for the answer before sleeping; the other side may sleep
        #[arg(long)]
        wake: bool,
        /// Both sides look before they sleep
        #[arg(long, conflicts_with = "wake")]
        poll: bool,
        /// An object: name, count, bytes, wait, median_ns, p99_ns, max_ns
        #[arg(long)]
        json: bool,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Start the kernel that is loaded
    Start {
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Ask the kernel to power off, and stop it when it has not in time; image, log and memory stay
    ///
    /// Its mk-agent, or the module in it, is asked. Without them it is stopped at once. The time is
    /// stop_timeout_ms, see 'mkctl set'.
    Stop {
        /// Kill it when it cannot be stopped
        #[arg(short, long)]
        force: bool,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Stop the CPUs without asking; in quarantine, try again
    Kill {
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Stop the kernel, then start it anew
    Restart {
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Remove an instance: its image, log and memory go
    Rm {
        /// Kill it first if it runs
        #[arg(short, long)]
        force: bool,
        /// Bring its CPUs online in the host
        #[arg(short, long)]
        online: bool,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Wait until an instance is dead, or in a state; then print the state and the reason
    ///
    /// A state that lasts only shortly can be missed, not so the last one.
    #[command(after_help = "\
Examples:
  mkctl wait web                                  # dead: any of the last six states below
  mkctl wait web --state panicked,hung --timeout 10m

States: empty loaded starting running halted rebooting panicked hung killed quarantined

Exit status: 0 it is in that state, 3 it does not exist or was removed, 5 the time is up.")]
    Wait {
        /// Wait for one of these states
        #[arg(short, long, value_delimiter = ',', value_parser = STATES)]
        state: Vec<String>,
        /// Wait no longer: 30, 1.5s, 500ms, 10m, 2h
        #[arg(short, long, value_parser = duration)]
        timeout: Option<Duration>,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Print the kernel logs of the last four lives that ended
    ///
    /// Each begins with a line like "=== life 3: panicked, reason panic, 20492 bytes". A life that has
    /// not ended yet has its log in its memory, where --running reads it.
    #[command(after_help = "\
Examples:
  mkctl log web
  mkctl log -rf web                               # as it speaks, until it ends")]
    Log {
        /// Go on with each further life when it ends, until the instance is removed; with --running,
        /// with each further line, until this life ends
        #[arg(short, long)]
        follow: bool,
        /// Print the log of the kernel that runs; it takes CAP_SYS_ADMIN, and no lockdown
        #[arg(short, long)]
        running: bool,
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
    },
    /// Copy the instance's memory to an ELF core file
    ///
    /// Best done of a dead one: what runs changes meanwhile. The file has holes where memory is zero, and
    /// is for its owner alone. A restart in the middle ends the copy, and no file is left.
    #[command(after_help = "\
Example:
  mkctl core web web.core && drgn -c web.core -s vmlinux")]
    Core {
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
        /// A file that is not there yet
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Show or change how an instance is configured
    #[command(after_help = "\
Examples:
  mkctl set web                                   # show all
  mkctl set web restart_policy=on-failure restart_delay_ms=500 restart_limit=10
  mkctl set web memory=1G                         # while no image is loaded")]
    Set {
        #[arg(value_parser = name, help = "The instance")]
        name: Name,
        /// Files of /sys/kernel/config/multikernel/NAME; in the order given
        #[arg(value_name = "KEY=VALUE", value_parser = pair)]
        pairs: Vec<(String, String)>,
    },
}

#[derive(Args, Clone, Copy)]
pub struct Wait {
    /// Wait no longer for the other side to be there: 30, 1.5s, 500ms, 10m
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// The key that leaves a console.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Escape(pub Option<u8>);

impl Default for Escape {
    fn default() -> Self {
        Self(Some(0x1d))
    }
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(key @ 1..=31) => write!(f, "^{}", (key ^ 0x40) as char),
            Some(key) => write!(f, "{}", key as char),
        }
    }
}

fn escape(text: &str) -> Result<Escape, String> {
    let key = match text.as_bytes() {
        b"none" => None,
        [b'^', key @ (b'@'..=b'_' | b'a'..=b'z')] if key & 0x1f != 0 => Some(key & 0x1f),
        [key @ b' '..=b'~'] => Some(*key),
        _ => return Err("give a key as ^], or none".into()),
    };
    Ok(Escape(key))
}

#[derive(Args)]
pub struct RunArgs {
    /// Use its console at once, as 'mkctl console'
    #[arg(short = 't', long)]
    pub console: bool,
    /// CPUs of the host, as 2-3,5; never CPU 0
    #[arg(short, long, value_parser = cpus)]
    pub cpus: CpuSet,
    /// Size of its memory, as 512M; a multiple of 2M
    #[arg(short, long, value_parser = memory)]
    pub memory: u64,
    /// Its initial RAM disk
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub initrd: Option<PathBuf>,
    /// Its command line
    #[arg(
        short,
        long,
        value_name = "STRING",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub append: OsString,
    /// Let it decompress itself at each start: that takes longer, but is with KASLR
    #[arg(long)]
    pub compressed: bool,
    /// Which deaths are followed by another start; on-failure: all but a poweroff
    #[arg(short, long, value_name = "POLICY")]
    pub restart: Option<Policy>,
    /// 1 to 32 letters, digits, '.', '_' and '-'
    #[arg(value_parser = name)]
    pub name: Name,
    /// A bzImage, as distributions call vmlinuz
    #[arg(value_hint = ValueHint::FilePath)]
    pub kernel: PathBuf,
}

#[derive(Copy, Clone, ValueEnum)]
pub enum Policy {
    Never,
    OnFailure,
    Always,
}

pub const STATES: [&str; 10] = [
    "empty",
    "loaded",
    "starting",
    "running",
    "halted",
    "rebooting",
    "panicked",
    "hung",
    "killed",
    "quarantined",
];

fn name(text: &str) -> Result<Name, String> {
    Name::new(text.as_bytes()).map_err(|fault| fault.remedy.into())
}

fn cpus(text: &str) -> Result<CpuSet, String> {
    let cpus = CpuSet::parse(text.as_bytes()).map_err(|fault| fault.remedy)?;
    if cpus.is_empty() {
        return Err("name at least one, as 2".into());
    }
    if cpus.contains(0) {
        return Err("the host keeps CPU 0; choose others".into());
    }
    Ok(cpus)
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text.as_bytes()).map_err(|fault| fault.remedy)?;
    if bytes == 0 || bytes % (2 << 20) != 0 {
        return Err("give a multiple of 2M, as 512M".into());
    }
    Ok(bytes)
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the units are ms, s, m and h".into()),
    };
    let number: f64 = number.parse().map_err(|_| "give a number, as 30 or 1.5s")?;
    Duration::try_from_secs_f64(number * unit).map_err(|e| e.to_string())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE")?;
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    if key.is_empty() || !key.chars().all(is_key) {
        return Err("a key is lower-case letters and _".into());
    }
    Ok((key.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_its_values() {
        let line = "mkctl run web -c 2-3,5 -m 1G -r on-failure --append -x vmlinuz";
        let Command::Run(run) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("not run");
        };
        assert_eq!(run.cpus.to_string(), "2-3,5");
        assert_eq!(run.memory, 1 << 30);
        assert_eq!(run.append, "-x");
        assert!(matches!(run.restart, Some(Policy::OnFailure)));
    }

    #[test]
    fn what_cannot_be_is_a_usage_error() {
        for line in [
            "mkctl run web --cpus 0-1 --memory 512M k",
            "mkctl run web --cpus , --memory 512M k",
            "mkctl run web --cpus 2 --memory 0 k",
            "mkctl run web --cpus 2 --memory 3M k",
            "mkctl run .web --cpus 2 --memory 2M k",
            "mkctl run ../x --cpus 2 --memory 2M k",
            "mkctl set web ../state=kill",
            "mkctl wait web --state dead",
            "mkctl wait web --timeout 1d",
            "mkctl wait web --timeout=-1",
            "mkctl console web --escape ^[[A",
            "mkctl console web --escape ^@",
            "mkctl send web 1",
            "mkctl recv web 5",
            "mkctl ping web --count 0",
            "mkctl ping web --count 1001",
            "mkctl ping web --size 7",
            "mkctl ping web --size 4097",
            "mkctl ping web --wake --poll",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).err().expect(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn keys_have_names() {
        for (text, key) in [
            ("^]", Some(0x1d)),
            ("^a", Some(1)),
            ("~", Some(b'~')),
            ("none", None),
        ] {
            assert_eq!(escape(text), Ok(Escape(key)), "{text}");
        }
        assert_eq!(Escape(Some(0x1d)).to_string(), "^]");
        assert_eq!(Escape(Some(b'~')).to_string(), "~");
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("30", 30_000),
            ("1.5s", 1500),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), ms, "{text}");
        }
    }
}
