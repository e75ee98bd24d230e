# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# What is fetched, and by which content it is known. Sourced by common.sh.

# The kernel: Debian's source package, and the tarball inside it.
LINUX_PACKAGE=linux-source-7.3
LINUX_PACKAGE_VERSION='7.3.4-1~bpo13+1'
LINUX_SUITE=trixie-backports
LINUX_TARBALL=linux-source-7.3.tar.xz
LINUX_TARBALL_SHA256=76df1affb19f24926949369be1d74b60071c963c598ce8780bddd4bbf0fc3bc4
# The last resort, without Debian's patches; checked against the list of sums beside it.
LINUX_UPSTREAM=https://cdn.kernel.org/pub/linux/kernel/v7.x/linux-7.3.4.tar.xz

# kexec-tools: the upstream tarball inside Debian's source package.
KEXEC_TOOLS_PACKAGE=kexec-tools
KEXEC_TOOLS_VERSION=2.0.29
KEXEC_TOOLS_SUITE=trixie
KEXEC_TOOLS_TARBALL_SHA256=67b1ac503aade45a54db0bc79228a8830a35d5d4f83cee932cff3e7a81a4a9ec
KEXEC_TOOLS_UPSTREAM=https://cdn.kernel.org/pub/linux/utils/kernel/kexec/kexec-tools-2.0.29.tar.xz

# The oldest tools that Linux 7.3 with Rust can be built with, and what we install where apt's are older.
LLVM_MAJOR=19
RUSTC_MIN=1.85.0
BINDGEN_MIN=0.71.1
BINDGEN_CRATE=0.72.1
QEMU_MIN=10.0
VIRTME_NG=1.42
DRGN=0.3.0
