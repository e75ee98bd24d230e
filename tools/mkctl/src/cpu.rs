// SPDX-License-Identifier: GPL-2.0

//! CPUs going offline and online in the host.

use crate::{
    error::{Error, Kind, Result},
    host::Host,
};
use multikernel_portable::cpu_list::CpuSet;

fn file(cpu: u32) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}/online")
}

/// Whether the host uses it. One without the file cannot go offline.
pub fn is_online(host: &Host, cpu: u32) -> bool {
    host.read(&file(cpu)).is_none_or(|text| text != "0")
}

/// # Errors
///
/// `Failed` for a CPU that there is not, or that cannot go offline, perhaps just now.
pub fn take_offline(host: &Host, cpu: u32) -> Result {
    if !host.exists(&file(cpu)) {
        let what = format!("CPU {cpu} is not there, or cannot go offline");
        return Err(
            Error::new(Kind::Failed, what).add("'mkctl check' shows those that can be lent")
        );
    }
    host.write(&file(cpu), "0").map_err(of_cpu)
}

/// No instance is missing, or in a wrong state: it is the CPU that is.
fn of_cpu(mut error: Error) -> Error {
    if matches!(error.kind, Kind::NoInstance | Kind::WrongState) {
        error.kind = Kind::Failed;
    }
    error
}

pub fn bring_online(host: &Host, cpu: u32) -> Result {
    host.write(&file(cpu), "1").map_err(of_cpu)
}

/// A list of the kernel's, as `present`; empty if there is none.
pub fn list(host: &Host, file: &str) -> CpuSet {
    let text = host.read(&format!("/sys/devices/system/cpu/{file}"));
    CpuSet::parse(text.unwrap_or_default().as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;
    use rustix::io::Errno;

    /// The instance is there, and its state is right.
    #[test]
    fn a_cpu_is_no_instance() {
        let tree = Tree::new(&[]);
        let gone = bring_online(&tree.host, 2).unwrap_err();
        assert_eq!(gone.kind, Kind::Failed);
        for errno in [Errno::NOENT, Errno::NODEV, Errno::BUSY] {
            let error = of_cpu(Error::system("cpu2/online", &errno.into()));
            assert_eq!(error.kind, Kind::Failed);
        }
        let error = of_cpu(Error::system("cpu2/online", &Errno::PERM.into()));
        assert_eq!(error.kind, Kind::NotPermitted);
    }
}
