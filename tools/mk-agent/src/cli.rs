// SPDX-License-Identifier: GPL-2.0

//! The command line. Stands alone: the man page and completions are made of it, too.

use clap::{Parser, ValueHint};
use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

const MORE: &str = "\
It finds the region that it shares with the host by the ACPI table MKRN and maps it from /dev/mem, which \
takes root, and a kernel with CONFIG_DEVMEM and no lockdown, as those of distributions are.

Examples:
  A root shell without a password on 'mkctl console':
      mk-agent --console /bin/sh -l
  Only beats, and orderly shutdown:
      mk-agent --no-console --no-ports
  A file to 'mkctl recv web 2' on the host:
      mk-agent --connect 2 <file

Exit status:
  0    ended by a signal; the host knows. With --connect: the host sends no more
  1    failed for another reason than these. With --connect: the stream was cut, too. Once standard
       input is at its end a cut can look like the end, and is 0; and an end that the agent's own end
       follows at once can look like a cut: then compare lengths
  2    the command line is wrong
  3    there is no table MKRN: this kernel is no spawn of multikernel
  4    the table or the region is none that this version understands
  5    the module multikernel speaks for this kernel
  6    not permitted: it takes root with CAP_SYS_RAWIO
  7    this kernel gives no access to its memory: the text says what forbids it";

/// Speaks with the host for a spawn kernel of multikernel: heartbeat, shutdown, console, ports
#[derive(Parser)]
#[command(name = "mk-agent", version, after_help = MORE, max_term_width = 100)]
pub struct Cli {
    /// The shared region, if it is not to be looked for: a file, perhaps a part of it
    #[arg(long, value_name = "FILE[:OFFSET:SIZE]", value_hint = ValueHint::FilePath)]
    pub region: Option<Place>,
    /// The longest sleep between two looks for news of the host, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub idle_ms: u16,
    /// Run by /bin/sh when the host asks for a shutdown; otherwise it is /sbin/poweroff, or reboot(2)
    #[arg(long, value_name = "COMMAND")]
    pub shutdown_command: Option<OsString>,
    /// Run by /bin/sh when the host asks for a reboot; otherwise it is /sbin/reboot, or reboot(2)
    #[arg(long, value_name = "COMMAND")]
    pub reboot_command: Option<OsString>,
    /// Do not call reboot(2), even when a command has not ended this kernel in the time the host gave
    #[arg(long)]
    pub no_force: bool,
    /// Folder for the sockets of ports 2 to 4: port2, port3, port4
    #[arg(long, value_name = "FOLDER", default_value = "/run/multikernel", value_hint = ValueHint::DirPath)]
    pub sockets: PathBuf,
    /// No sockets
    #[arg(long)]
    pub no_ports: bool,
    /// Be no agent, but a client of a port's socket, with standard input and output, until the host sends
    /// no more; what standard input still has is not sent then, and the exit status is 0
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(2..=4))]
    pub connect: Option<u16>,
    /// Log to /dev/kmsg, not to standard error
    #[arg(long)]
    pub kmsg: bool,
    /// No console
    #[arg(long, conflicts_with = "console")]
    pub no_console: bool,
    /// Run on the console, with all words that follow; otherwise it is agetty, login or /bin/sh
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub console: Vec<OsString>,
}

impl Cli {
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.into())
    }
}

/// Where a region is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// Offset and bytes; the whole file otherwise.
    pub part: Option<(u64, u64)>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, ':');
        let (size, offset, file) = (parts.next(), parts.next(), parts.next());
        let part = match (offset.map(number), size.map(number)) {
            (Some(Some(offset)), Some(Some(size))) => Some((offset, size)),
            _ => None,
        };
        let file = match (part, file) {
            (Some(_), Some(file)) => file,
            (Some(_), None) => return Err("give FILE:OFFSET:SIZE".into()),
            (None, _) => text,
        };
        Ok(Self {
            file: file.into(),
            part,
        })
    }
}

/// A decimal or, with 0x, hexadecimal number.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
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
    fn a_place_is_a_file_or_a_part_of_one() {
        let place = |text: &str| text.parse::<Place>();
        let file = |file: &str, part| {
            Ok(Place {
                file: file.into(),
                part,
            })
        };
        assert_eq!(
            place("/dev/mem:0x7ff00000:65536"),
            file("/dev/mem", Some((0x7ff0_0000, 65536)))
        );
        assert_eq!(place("/tmp/a:b:1"), file("/tmp/a:b:1", None));
        assert_eq!(place("/tmp/region"), file("/tmp/region", None));
        assert!(place("1:2").is_err());
    }

    #[test]
    fn the_longest_sleep_is_a_second() {
        let idle = |ms| Cli::try_parse_from(["mk-agent", "--idle-ms", ms]).map(|cli| cli.idle());
        assert_eq!(idle("1").unwrap(), Duration::from_millis(1));
        assert_eq!(idle("1000").unwrap(), Duration::from_secs(1));
        assert!(idle("0").is_err() && idle("1001").is_err());
    }

    #[test]
    fn the_console_takes_the_rest() {
        let line = "mk-agent --kmsg --console /bin/sh -l -i";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(cli.console, ["/bin/sh", "-l", "-i"]);
        assert!(cli.kmsg);
    }
}
