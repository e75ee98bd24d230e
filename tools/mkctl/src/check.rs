// SPDX-License-Identifier: GPL-2.0

//! `check`: whether this machine can lend CPUs.

mod cpus;
mod kernel;
mod memory;
mod processor;

use crate::{error::Result, host::Host, kexec::Kexec, output};
use serde_json::{json, Value};
use std::process::ExitCode;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    /// It works, but somebody should think about it.
    Warning,
    /// It does not work without.
    Missing,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "missing",
        }
    }
}

/// What was found out about one thing.
#[derive(Debug)]
pub struct Finding {
    what: &'static str,
    status: Status,
    text: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self {
            what,
            status: Status::Ok,
            text: text.into(),
            remedy: None,
        }
    }

    fn warning(what: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            status: Status::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(what, text)
        }
    }

    fn missing(what: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            status: Status::Missing,
            ..Self::warning(what, text, remedy)
        }
    }

    fn line(&self) -> String {
        let Self { what, text, .. } = self;
        let line = format!("{:8} {what:12} {text}\n", self.status.as_str());
        match &self.remedy {
            Some(remedy) => format!("{line}{:22}-> {remedy}\n", ""),
            None => line,
        }
    }

    fn json(&self) -> Value {
        json!({
            "check": self.what, "status": self.status.as_str(),
            "text": self.text, "remedy": self.remedy,
        })
    }
}

/// Prints what was found; the exit status is 1 if something is missing.
pub fn check(host: &Host, as_json: bool) -> Result<ExitCode> {
    let findings = [
        kernel::series(host),
        kernel::module(host),
        kernel::configfs(host),
        kernel::lockdown(host),
        kernel::kexec_load(host),
        kernel::capability(host),
        kexec(),
        cpus::beside_the_first(host),
        cpus::siblings(host),
        memory::low(host),
        memory::spare(host),
        processor::encryption(host),
        processor::vmx(host),
    ];
    let text = if as_json {
        format!(
            "{:#}\n",
            findings.iter().map(Finding::json).collect::<Value>()
        )
    } else {
        findings.iter().map(Finding::line).collect()
    };
    output::print(text)?;
    let bad = findings
        .iter()
        .any(|finding| finding.status == Status::Missing);
    Ok(ExitCode::from(u8::from(bad)))
}

fn kexec() -> Finding {
    match Kexec::find() {
        Ok(kexec) => Finding::ok("kexec", format!("{} knows instances", kexec.path.display())),
        Err(error) => Finding::missing("kexec", error.what, error.more.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_has_a_line_of_its_own() {
        let line = Finding::missing("module", "not loaded", "modprobe multikernel").line();
        let expected = "\
missing  module       not loaded
                      -> modprobe multikernel
";
        assert_eq!(line, expected);
        assert_eq!(Finding::ok("x", "y").line(), "ok       x            y\n");
    }
}
