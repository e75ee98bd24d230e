// SPDX-License-Identifier: GPL-2.0

//! CPUs that can be lent.

use super::Finding;
use crate::{cpu, host::Host};
use multikernel_portable::cpu_list::CpuSet;
use std::collections::BTreeSet;

pub fn beside_the_first(host: &Host) -> Finding {
    let what = "cpus";
    let present = cpu::list(host, "present");
    let mut others = CpuSet::default();
    let mut offline = CpuSet::default();
    for cpu in present.iter().filter(|&cpu| cpu != 0) {
        others.insert(cpu);
        if !cpu::is_online(host, cpu) {
            offline.insert(cpu);
        }
    }
    if others.is_empty() {
        let remedy = "lend from a machine with more CPUs";
        return Finding::missing(what, "there is only CPU 0, which the host keeps", remedy);
    }
    let fixed = others
        .iter()
        .find(|cpu| !host.exists(&format!("/sys/devices/system/cpu/cpu{cpu}/online")));
    if let Some(cpu) = fixed {
        return Finding::missing(
            what,
            format!("CPU {cpu} cannot go offline"),
            "boot a kernel with CONFIG_HOTPLUG_CPU=y",
        );
    }
    let state = match offline.is_empty() {
        true => "all online".into(),
        false => format!("offline now: {offline}"),
    };
    Finding::ok(what, format!("{others} beside CPU 0; {state}"))
}

pub fn siblings(host: &Host) -> Finding {
    let what = "smt";
    // Offline CPUs have no topology: these are the cores with threads in use.
    let threads = |cpu| {
        host.read(&format!(
            "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        ))
    };
    let cores: BTreeSet<_> = cpu::list(host, "online")
        .iter()
        .filter_map(threads)
        .collect();
    let shared: Vec<_> = cores
        .into_iter()
        .filter(|core| core.contains([',', '-']))
        .collect();
    if shared.is_empty() {
        return Finding::ok(what, "no two online CPUs share a core");
    }
    Finding::warning(
        what,
        format!(
            "these share cores, caches and some MSRs: {}",
            shared.join(" ")
        ),
        "lend all threads of a core to one instance",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Status::*, *};
    use crate::host::tests::Tree;

    const DIR: &str = "/sys/devices/system/cpu";

    #[test]
    fn cpus_beside_the_first() {
        let tree = Tree::new(&[(&format!("{DIR}/present"), "0\n")]);
        assert_eq!(beside_the_first(&tree.host).status, Missing);
        let tree = Tree::new(&[
            (&format!("{DIR}/present"), "0-2\n"),
            (&format!("{DIR}/cpu1/online"), "1\n"),
            (&format!("{DIR}/cpu2/online"), "0\n"),
        ]);
        let finding = beside_the_first(&tree.host);
        assert_eq!(
            (finding.status, finding.text.as_str()),
            (Ok, "1-2 beside CPU 0; offline now: 2")
        );
        let tree = Tree::new(&[
            (&format!("{DIR}/present"), "0-1\n"),
            (&format!("{DIR}/cpu1/topology/core_id"), "1\n"),
        ]);
        assert_eq!(beside_the_first(&tree.host).status, Missing);
    }

    #[test]
    fn threads_of_a_core() {
        let topology = |second| {
            Tree::new(&[
                (&format!("{DIR}/online"), "0-1\n"),
                (
                    &format!("{DIR}/cpu0/topology/thread_siblings_list"),
                    "0,2\n",
                ),
                (&format!("{DIR}/cpu1/topology/thread_siblings_list"), second),
            ])
        };
        let finding = siblings(&topology("1,3\n").host);
        assert_eq!(finding.status, Warning);
        assert!(finding.text.ends_with(": 0,2 1,3"), "{}", finding.text);
        let tree = Tree::new(&[
            (&format!("{DIR}/online"), "0\n"),
            (&format!("{DIR}/cpu0/topology/thread_siblings_list"), "0\n"),
        ]);
        assert_eq!(siblings(&tree.host).status, Ok);
    }
}
