// SPDX-License-Identifier: GPL-2.0

//! What the processor does that an instance must know.

use super::Finding;
use crate::{host::Host, kmsg};

fn has_flag(host: &Host, flag: &str) -> bool {
    let text = host.read("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|word| word == flag))
}

pub fn encryption(host: &Host) -> Finding {
    let what = "encryption";
    let said = |text: &str| text.contains("Memory Encryption Features active");
    // The kernel shows the flag sme only when it uses it.
    let logged = || {
        kmsg::Mark::start(host)
            .records()
            .iter()
            .any(|record| said(&record.text))
    };
    if has_flag(host, "tdx_guest") {
        return Finding::missing(what, "this is a confidential guest", "use another machine");
    }
    if has_flag(host, "sme") || logged() {
        let remedy = "boot with mem_encrypt=off; a confidential guest cannot lend CPUs";
        return Finding::missing(what, "memory encryption is active", remedy);
    }
    Finding::ok(what, "no memory encryption seen")
}

pub fn vmx(host: &Host) -> Finding {
    if !has_flag(host, "vmx") {
        return Finding::ok("vmx", "no VMX that could keep CPUs from being stopped");
    }
    Finding::warning(
        "vmx",
        "a kernel that uses VMX cannot be stopped",
        "run kernels with KVM as a module, which is kept from loading, not built in",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Status::*, *};
    use crate::host::tests::Tree;

    #[test]
    fn flags() {
        let status = |flags: &str| {
            let flags = format!("processor: 0\nflags\t\t: fpu {flags} apic\nvmx flags\t: x\n");
            let tree = Tree::new(&[("/proc/cpuinfo", &flags)]);
            (encryption(&tree.host).status, vmx(&tree.host).status)
        };
        assert_eq!(status("svm"), (Ok, Ok));
        assert_eq!(status("vmx"), (Ok, Warning));
        assert_eq!(status("sme"), (Missing, Ok));
        assert_eq!(status("tdx_guest"), (Missing, Ok));
        // Part of a word.
        assert_eq!(status("smep"), (Ok, Ok));
    }

    #[test]
    fn the_log_tells_of_encryption() {
        let line = "6,1,2,-;Memory Encryption Features active: AMD SEV\n";
        let tree = Tree::new(&[("/dev/kmsg", line)]);
        assert_eq!(encryption(&tree.host).status, Missing);
    }
}
