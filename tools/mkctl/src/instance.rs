// SPDX-License-Identifier: GPL-2.0

//! One instance: what it is told, and what it tells.

use crate::{
    error::{Error, Kind, Result},
    host::Host,
};
use multikernel_portable::{cpu_list::CpuSet, name::Name};
use std::fmt;

/// Words for `state`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Start,
    Stop,
    Kill,
    Restart,
    Unload,
}

impl Order {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Unload => "unload",
        }
    }
}

/// States in which CPUs are not proved to be stopped.
pub fn is_alive(state: &str) -> bool {
    matches!(state, "starting" | "running" | "quarantined")
}

/// One that has been seen.
pub struct Instance<'h> {
    pub host: &'h Host,
    pub name: Name,
}

impl<'h> Instance<'h> {
    /// # Errors
    ///
    /// `NoInstance`, `NotReady`.
    pub fn find(host: &'h Host, name: Name) -> Result<Self> {
        host.ready()?;
        let instance = Self { host, name };
        if host.exists(&instance.config("")) {
            return Ok(instance);
        }
        Err(instance.gone())
    }

    /// That there is none of this name.
    pub fn gone(&self) -> Error {
        let what = format!("there is no instance {}", self.name);
        Error::new(Kind::NoInstance, what).add("'mkctl list' shows all")
    }

    pub fn config(&self, file: &str) -> String {
        format!("/sys/kernel/config/multikernel/{}/{file}", self.name)
    }

    pub fn class(&self, file: &str) -> String {
        format!("/sys/class/multikernel/{}/{file}", self.name)
    }

    pub fn device(&self, file: &str) -> String {
        format!("/dev/multikernel/{}/{file}", self.name)
    }

    /// The word for its state; more may follow it one day.
    pub fn state(&self) -> Result<String> {
        let text = self.host.read(&self.class("state"));
        let text = text.ok_or_else(|| self.gone())?;
        Ok(text.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Why it is in its state: a word, perhaps a text.
    pub fn reason(&self) -> Option<String> {
        self.host.read(&self.class("reason"))
    }

    pub fn cpus(&self) -> Result<CpuSet> {
        let text = self.host.read(&self.config("cpus"));
        let text = text.ok_or_else(|| self.gone())?;
        CpuSet::parse(text.as_bytes()).map_err(|fault| {
            let what = format!("{}: '{text}' is no list of CPUs", self.name);
            Error::new(Kind::Failed, what).add(fault.remedy)
        })
    }

    /// # Errors
    ///
    /// As documented in sysfs-class-multikernel; with a remedy.
    pub fn order(&self, order: Order) -> Result {
        self.host
            .write(&self.class("state"), order.as_str())
            .map_err(|error| {
                let state = self.state().unwrap_or_default();
                match remedy(order, &state, &self.name) {
                    Some(remedy) if error.kind == Kind::WrongState => error.add(remedy),
                    _ => error,
                }
            })
    }
}

impl fmt::Display for Instance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// What to do when the order cannot be obeyed in this state.
pub fn remedy(order: Order, state: &str, name: &Name) -> Option<String> {
    Some(match (order, state) {
        (Order::Start, "running") => format!("It runs; mkctl restart {name}"),
        (Order::Start | Order::Restart, "quarantined") => {
            format!("A CPU gave no proof that it stopped; mkctl kill {name} tries again")
        }
        (_, "empty") => format!("No kernel is loaded; kexec --multikernel={name} -l bzImage"),
        (Order::Stop | Order::Kill | Order::Restart, state) if !is_alive(state) => {
            format!("It is {state}; mkctl start {name}")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_fit_the_state() {
        let name = Name::new(b"web").unwrap();
        let remedy = |order, state| remedy(order, state, &name).unwrap_or_default();
        assert!(remedy(Order::Start, "running").contains("restart web"));
        assert!(remedy(Order::Start, "quarantined").contains("kill web"));
        assert!(remedy(Order::Start, "empty").contains("=web -l"));
        assert!(remedy(Order::Kill, "halted").contains("start web"));
        assert_eq!(remedy(Order::Start, "halted"), "");
    }
}
