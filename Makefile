# SPDX-License-Identifier: GPL-2.0
# For people; the kernel's build reads Kbuild. Everything is built in a cache folder outside the checkout
# ($MULTIKERNEL_CACHE, or ~/.cache/multikernel); every target fetches and builds what it needs first.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
S := scripts

help:
	@echo 'multikernel: further Linux kernels on CPUs and memory that a running one lends'
	@echo
	@echo '  make demo          boot a host in QEMU, and a stock Debian kernel beside it'
	@echo '       SPAWN=bzImage [INITRD=file] [CPUS=2] [MEM=512M] [APPEND="..."]   ... or this one'
	@echo '  make test          every test; the last line counts them'
	@echo '       T=suite[/case] only these (make test T=list shows the suites)'
	@echo '  make test-long     the long runs: debug kernel, hours of fuzzing, soak'
	@echo '  make fuzz          an hour of a hostile peer on the channel'
	@echo '  make soak N=1000   start and kill an instance so often, look for what is left'
	@echo '  make shell         a shell on the host kernel, with the module at hand'
	@echo '  make module        multikernel.ko'
	@echo '  make kernel        Linux 7.3 with patches/linux    [LINUX_SRC=tree or tarball]'
	@echo '  make kexec-tools   kexec with patches/kexec-tools  [KEXEC_TOOLS_SRC=tree or tarball]'
	@echo '  make mkctl         mkctl, which runs and looks after instances; its man pages'
	@echo '  make agent         mk-agent, which speaks for a spawn kernel; its man page'
	@echo '  make bench         measurements; writes them to Documentation/benchmarks'
	@echo '  make bench-boot    the boot of a spawn kernel, phase by phase, and from one life to the next'
	@echo '  make audit         what spawn kernels touch of the shared hardware'
	@echo '  make bench-channel the channel between two processors, likewise'
	@echo '  make lint          rustfmt, clippy, checkpatch, shellcheck, sparse, links, unsafe blocks'
	@echo '  make docs          Documentation as HTML'
	@echo '  make clean         what was built, of every checkout with this cache; ALL=1: with kernel and tools'

demo:
	@$S/demo

test:
	@$(if $(filter list,$(T)),,$S/install-deps)
	@selftests/run $(if $(T),'$(T)')

test-long:
	@$S/install-deps
	@selftests/run --long $(if $(T),'$(T)')

fuzz:
	@$S/install-deps
	@FUZZ_SECONDS=1800 rust/portable/fuzz/run channel

soak:
	@$S/install-deps
	@N=$(or $(N),1000) selftests/run --long soak

shell: deps
	@$S/shell

module: deps
	@$S/build-module

kernel: deps
	@$S/build-kernel

kexec-tools: deps
	@$S/build-kexec-tools

mkctl: deps
	@$S/build-mkctl

agent: deps
	@$S/build-agent

bench: deps
	@$S/bench

bench-boot: deps
	@$S/bench-boot
	@$S/bench-restart

audit: deps
	@$S/audit

bench-channel: deps
	@$S/bench-channel

lint: deps
	@$S/lint

docs: deps
	@$S/docs

clean:
	@$S/clean $(if $(ALL),all)

deps:
	@$S/install-deps

.PHONY: help demo test test-long fuzz soak shell module kernel kexec-tools mkctl agent bench bench-boot bench-channel audit lint docs clean deps
