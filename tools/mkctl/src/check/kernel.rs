// SPDX-License-Identifier: GPL-2.0

//! The running kernel: what it has, and what it permits.

use super::Finding;
use crate::host::{status_mask, Host};

const CAP_SYS_BOOT: u32 = 22;

pub fn series(host: &Host) -> Finding {
    let what = "kernel";
    let release = host.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let symbols = host.read("/proc/kallsyms").unwrap_or_default();
    if symbols.is_empty() {
        return Finding::warning(
            what,
            format!("{release} shows no symbols (CONFIG_KALLSYMS)"),
            "see whether its configuration has CONFIG_MULTIKERNEL=y",
        );
    }
    if symbols.contains(" multikernel_register") {
        return Finding::ok(what, format!("{release} has the series"));
    }
    Finding::missing(
        what,
        format!("{release} lacks the series"),
        "boot Linux 7.3 with patches/linux and CONFIG_MULTIKERNEL=y (make kernel)",
    )
}

pub fn module(host: &Host) -> Finding {
    if host.exists("/sys/module/multikernel") {
        return Finding::ok("module", "loaded");
    }
    let remedy = "modprobe multikernel, or insmod multikernel.ko (make module)";
    Finding::missing("module", "not loaded", remedy)
}

pub fn configfs(host: &Host) -> Finding {
    let mounts = host.read("/proc/mounts").unwrap_or_default();
    let at = "/sys/kernel/config";
    let is_it = |line: &str| {
        line.split(' ').nth(1) == Some(at) && line.split(' ').nth(2) == Some("configfs")
    };
    if mounts.lines().any(is_it) {
        return Finding::ok("configfs", format!("mounted on {at}"));
    }
    Finding::missing(
        "configfs",
        format!("not mounted on {at}"),
        format!("mount -t configfs none {at}"),
    )
}

pub fn lockdown(host: &Host) -> Finding {
    let modes = host
        .read("/sys/kernel/security/lockdown")
        .unwrap_or_default();
    let mode = modes
        .split_whitespace()
        .find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'));
    match mode {
        None => Finding::ok("lockdown", "no sign of it"),
        Some("none") => Finding::ok("lockdown", "none"),
        Some(mode) => Finding::missing(
            "lockdown",
            format!("{mode}: kexec_load(2) is refused"),
            "boot without lockdown= and without Secure Boot",
        ),
    }
}

pub fn kexec_load(host: &Host) -> Finding {
    let value = |file| host.read(&format!("/proc/sys/kernel/{file}"));
    let (Some(disabled), limit) = (
        value("kexec_load_disabled"),
        value("kexec_load_limit_reboot"),
    ) else {
        return Finding::missing(
            "kexec_load",
            "this kernel has no kexec_load(2)",
            "boot one with CONFIG_KEXEC=y",
        );
    };
    let why = match (disabled.as_str(), limit.as_deref()) {
        ("0", Some("0")) => "kexec_load_limit_reboot is used up",
        ("0", _) => return Finding::ok("kexec_load", "permitted"),
        _ => "kexec_load_disabled is set",
    };
    Finding::missing(
        "kexec_load",
        why,
        "it cannot be taken back: boot again without",
    )
}

pub fn capability(host: &Host) -> Finding {
    let status = host.read("/proc/self/status").unwrap_or_default();
    if status_mask(&status, "CapEff:").is_some_and(|mask| mask >> CAP_SYS_BOOT & 1 == 1) {
        return Finding::ok("privilege", "CAP_SYS_BOOT");
    }
    let text = "no CAP_SYS_BOOT: you can look, and change nothing";
    Finding::warning("privilege", text, "run mkctl as root")
}

#[cfg(test)]
mod tests {
    use super::{super::Status::*, *};
    use crate::host::tests::Tree;

    #[test]
    fn lines_follow_the_files() {
        let mounts = "none /sys/kernel/config configfs rw 0 0\n";
        let tree = Tree::new(&[
            (
                "/proc/kallsyms",
                "0000000000000000 T multikernel_register\n",
            ),
            ("/sys/module/multikernel/refcnt", "0\n"),
            ("/proc/mounts", mounts),
            (
                "/sys/kernel/security/lockdown",
                "[none] integrity confidentiality\n",
            ),
            ("/proc/sys/kernel/kexec_load_disabled", "0\n"),
            ("/proc/sys/kernel/kexec_load_limit_reboot", "-1\n"),
            ("/proc/self/status", "Name:\tx\nCapEff:\t0000000000400000\n"),
        ]);
        let all = [series, module, configfs, lockdown, kexec_load, capability];
        for check in all {
            let finding = check(&tree.host);
            assert_eq!(finding.status, Ok, "{finding:?}");
        }
    }

    #[test]
    fn what_is_missing() {
        let tree = Tree::new(&[
            ("/proc/kallsyms", "0000000000000000 T kexec_load\n"),
            ("/proc/mounts", "none /mnt configfs rw 0 0\n"),
            (
                "/sys/kernel/security/lockdown",
                "none [integrity] confidentiality\n",
            ),
            ("/proc/sys/kernel/kexec_load_disabled", "1\n"),
        ]);
        for check in [series, module, configfs, lockdown, kexec_load] {
            let finding = check(&tree.host);
            assert_eq!(finding.status, Missing, "{finding:?}");
            assert!(finding.remedy.is_some());
        }
        assert_eq!(capability(&tree.host).status, Warning);
    }

    #[test]
    fn a_limit_can_be_used_up() {
        let tree = Tree::new(&[
            ("/proc/sys/kernel/kexec_load_disabled", "0\n"),
            ("/proc/sys/kernel/kexec_load_limit_reboot", "0\n"),
        ]);
        assert_eq!(kexec_load(&tree.host).status, Missing);
    }
}
