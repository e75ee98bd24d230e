// SPDX-License-Identifier: GPL-2.0

//! `run`: all steps to a running kernel, and back when one fails; `rm`: the way back.

use crate::{
    cli::RunArgs,
    cpu,
    error::{Error, Kind, Result},
    host::Host,
    instance::{is_alive, Instance, Order},
    kexec::Kexec,
};
use clap::ValueEnum;
use multikernel_portable::{cpu_list::CpuSet, size::Size};
use rustix::io::Errno;
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// What was made so far.
struct Made<'h> {
    instance: Instance<'h>,
    kexec: Kexec,
    directory: bool,
    offline: CpuSet,
}

/// Returns what was done.
pub fn run(host: &Host, kexec: Kexec, args: &RunArgs, interrupted: &AtomicBool) -> Result<String> {
    for file in [Some(&args.kernel), args.initrd.as_ref()]
        .into_iter()
        .flatten()
    {
        fs::File::open(file).map_err(|e| {
            // Not an instance that is missing.
            let error = Error::system(file.display(), &e);
            Error::new(Kind::Failed, error.to_string())
        })?;
    }
    let name = args.name;
    let instance = Instance { host, name };
    if host.exists(&instance.config("")) {
        return Err(is_there(&instance));
    }
    let mut made = Made {
        instance,
        kexec,
        directory: false,
        offline: CpuSet::default(),
    };
    match made.all(args, interrupted) {
        Ok(()) => Ok(format!(
            "{name} runs on CPU {} with {}",
            args.cpus,
            Size(args.memory)
        )),
        Err(error) => Err(error.add_all(made.undo())),
    }
}

/// That the name is in use.
fn is_there(instance: &Instance) -> Error {
    let what = format!("there is an instance {instance} already");
    Error::new(Kind::WrongState, what).add(format!(
        "mkctl rm --force {instance} removes it; mkctl start {instance} starts it"
    ))
}

/// A named step, unless a signal came.
fn step(what: &str, interrupted: &AtomicBool, act: impl FnOnce() -> Result) -> Result {
    let stopped = || {
        Err(Error::new(
            Kind::Interrupted,
            format!("{what}: interrupted"),
        ))
    };
    if interrupted.load(Relaxed) {
        return stopped();
    }
    match act() {
        Err(_) if interrupted.load(Relaxed) => stopped(),
        result => result.map_err(|error| error.at(what)),
    }
}

impl Made<'_> {
    fn all(&mut self, args: &RunArgs, interrupted: &AtomicBool) -> Result {
        let instance = &self.instance;
        step("mkdir", interrupted, || {
            let made = instance.host.make_directory(&instance.config(""));
            made.map_err(|error| match error.errno {
                // Another one was faster.
                Some(Errno::EXIST) => is_there(instance),
                _ => error,
            })
        })?;
        self.directory = true;
        self.fill(args, interrupted)
    }

    /// From an empty instance on.
    fn fill(&mut self, args: &RunArgs, interrupted: &AtomicBool) -> Result {
        let Self {
            instance, kexec, ..
        } = self;
        let host = instance.host;
        let put = |file: &str, value: &str| {
            step(file, interrupted, || {
                host.write(&instance.config(file), value)
            })
        };
        // Nobody else takes these offline, or brings them online, from here on.
        put("cpus", &args.cpus.to_string())?;
        for cpu in args.cpus.iter().filter(|&cpu| cpu::is_online(host, cpu)) {
            step("CPU offline", interrupted, || cpu::take_offline(host, cpu))?;
            self.offline.insert(cpu);
        }
        put("memory", &Size(args.memory).to_string())?;
        if let Some(policy) = args.restart.and_then(|policy| policy.to_possible_value()) {
            put("restart_policy", policy.get_name())?;
        }
        step("load", interrupted, || kexec.load(instance, args))?;
        step("start", interrupted, || instance.order(Order::Start))
    }

    /// Returns what is to be said about it.
    fn undo(&self) -> Vec<String> {
        let instance = &self.instance;
        let host = instance.host;
        let mut said = Vec::new();
        let mut note = |result: Result, done: String| {
            said.push(match result {
                Ok(()) => format!("undone: {done}"),
                Err(error) => format!("NOT undone: {error}"),
            });
        };
        // Also when kexec was interrupted after the deed.
        if self.directory && instance.state().is_ok_and(|state| state != "empty") {
            note(
                instance.order(Order::Unload),
                "the kernel is unloaded".into(),
            );
        }
        // As long as they are its own.
        for cpu in self.offline.iter() {
            note(
                cpu::bring_online(host, cpu),
                format!("CPU {cpu} is online again"),
            );
        }
        if self.directory {
            let removed = host.remove_directory(&instance.config(""));
            note(removed, format!("instance {instance} is removed"));
        }
        said
    }
}

fn kill(instance: &Instance) -> Result {
    match instance.order(Order::Kill) {
        // It may have ended by itself meanwhile.
        Err(_) if !is_alive(&instance.state()?) => Ok(()),
        result => result.map_err(|error| error.at("kill")),
    }
}

/// Removes an instance; `force` kills it first, `online` brings its CPUs back.
pub fn remove(instance: &Instance, force: bool, online: bool) -> Result {
    let cpus = instance.cpus()?;
    let state = instance.state()?;
    if is_alive(&state) {
        if !force {
            let what = format!("{instance} is {state}");
            let remedy = format!("mkctl rm --force {instance} kills it first");
            return Err(Error::new(Kind::WrongState, what).add(remedy));
        }
        kill(instance)?;
    }
    if instance.state()? != "empty" {
        let unload = || instance.order(Order::Unload);
        let unloaded = unload().or_else(|error| {
            // What was dead has started again by itself meanwhile; once killed, it does not.
            if !force || !is_alive(&instance.state()?) {
                return Err(error);
            }
            kill(instance)?;
            unload()
        });
        unloaded.map_err(|error| error.at("unload"))?;
    }
    let host = instance.host;
    // As long as they are its own. All are tried, and the first failure is told.
    let results = cpus.iter().filter(|_| online);
    let results: Vec<_> = results.map(|cpu| cpu::bring_online(host, cpu)).collect();
    host.remove_directory(&instance.config(""))
        .map_err(|error| error.at("rmdir"))?;
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{Cli, Command},
        host::tests::Tree,
    };
    use clap::Parser;

    const ONLINE: &str = "/sys/devices/system/cpu/cpu2/online";

    fn args() -> RunArgs {
        let words = ["mkctl", "run", "web", "-c2", "-m2M", "/dev/null"];
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => args,
            _ => panic!("not run"),
        }
    }

    fn no_kexec() -> Kexec {
        Kexec {
            path: "/bin/false".into(),
        }
    }

    fn made(tree: &Tree) -> Made<'_> {
        Made {
            instance: tree.instance("web"),
            kexec: no_kexec(),
            directory: false,
            offline: CpuSet::default(),
        }
    }

    fn run_in(tree: &Tree, interrupted: bool) -> Error {
        run(
            &tree.host,
            no_kexec(),
            &args(),
            &AtomicBool::new(interrupted),
        )
        .unwrap_err()
    }

    /// The steps behind mkdir, and back. A file that is not in the tree is the step that fails.
    fn fill_in(tree: &Tree) -> (Error, String) {
        let mut made = made(tree);
        made.directory = true;
        let error = made.fill(&args(), &AtomicBool::new(false)).unwrap_err();
        (error, made.undo().join("\n"))
    }

    /// It was not there when that was looked at.
    #[test]
    fn a_name_that_another_run_has_got() {
        let tree = Tree::new(&[("/sys/kernel/config/multikernel/web/cpus", "")]);
        let mut made = made(&tree);
        let error = made.all(&args(), &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
        assert!(
            error.to_string().contains("mkctl rm --force web"),
            "{error}"
        );
        assert_eq!(made.undo(), [""; 0]);
    }

    /// A folder that is made gets no `cpus`; it may be another one's CPU.
    #[test]
    fn a_cpu_that_is_refused_is_left_alone() {
        let tree = Tree::new(&[(ONLINE, "1"), ("/sys/kernel/config/multikernel/x/cpus", "")]);
        let error = run_in(&tree, false).to_string();
        assert!(error.starts_with("cpus: '2' to /sys"), "{error}");
        assert!(!error.contains("online"), "{error}");
        assert!(!tree.host.exists("/sys/kernel/config/multikernel/web"));
    }

    #[test]
    fn a_failed_step_is_named_and_all_before_is_undone() {
        let cpus = "/sys/kernel/config/multikernel/web/cpus";
        let tree = Tree::new(&[(ONLINE, "1"), (cpus, "")]);
        let (error, undone) = fill_in(&tree);
        assert!(error.to_string().starts_with("memory: '2M' to /sys"));
        assert_eq!(tree.host.read(cpus).unwrap(), "2");
        // While it owns the CPU.
        assert!(
            undone.starts_with("undone: CPU 2 is online again\nNOT undone: /sys"),
            "{undone}"
        );
        assert_eq!(tree.host.read(ONLINE).unwrap(), "1");
    }

    #[test]
    fn a_cpu_that_was_offline_stays_so() {
        let cpus = "/sys/kernel/config/multikernel/web/cpus";
        let tree = Tree::new(&[(ONLINE, "0"), (cpus, "")]);
        fill_in(&tree);
        assert_eq!(tree.host.read(ONLINE).unwrap(), "0");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_told() {
        let tree = Tree::new(&[("/sys/kernel/config/multikernel/web/cpus", "")]);
        let (error, _) = fill_in(&tree);
        assert_eq!(error.kind, Kind::Failed);
        assert!(error
            .to_string()
            .starts_with("CPU offline: CPU 2 is not there"));
    }

    /// The folder of a tree stays, with its files: that is the step that fails.
    #[test]
    fn a_cpu_is_online_before_another_one_can_have_it() {
        let tree = Tree::new(&[
            (ONLINE, "0"),
            ("/sys/kernel/config/multikernel/web/cpus", "2"),
            ("/sys/class/multikernel/web/state", "empty"),
        ]);
        let error = remove(&tree.instance("web"), false, true).unwrap_err();
        assert!(error.to_string().starts_with("rmdir: "), "{error}");
        assert_eq!(tree.host.read(ONLINE).unwrap(), "1");
    }

    #[test]
    fn a_signal_ends_it() {
        let tree = Tree::new(&[("/sys/kernel/config/multikernel/x/cpus", "")]);
        let error = run_in(&tree, true);
        assert_eq!(error.kind, Kind::Interrupted);
        assert_eq!(error.to_string(), "mkdir: interrupted");
        assert!(!tree.host.exists("/sys/kernel/config/multikernel/web"));
    }

    #[test]
    fn a_name_that_is_in_use_is_left_alone() {
        let tree = Tree::new(&[
            (ONLINE, "1"),
            ("/sys/kernel/config/multikernel/web/cpus", ""),
        ]);
        assert_eq!(run_in(&tree, false).kind, Kind::WrongState);
        assert!(tree.host.exists("/sys/kernel/config/multikernel/web"));
    }

    #[test]
    fn what_runs_is_removed_by_force_only() {
        let tree = Tree::new(&[
            ("/sys/kernel/config/multikernel/web/cpus", "2"),
            ("/sys/class/multikernel/web/state", "running"),
        ]);
        let error = remove(&tree.instance("web"), false, false).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
        assert!(error.to_string().contains("--force"));
    }
}
