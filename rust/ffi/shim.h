/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of the C shim: what Rust cannot call because it is an inline
 * function, a macro, a per-CPU variable or a struct without bindings.
 * Mirrored by the extern blocks in rust/ffi/.
 */
#ifndef MULTIKERNEL_SHIM_H
#define MULTIKERNEL_SHIM_H

#include <linux/multikernel.h>
#include <linux/types.h>

struct kexec_segment;
struct page;
struct resource;

/* x86.c */
extern const u8 mk_trampoline[], mk_trampoline_end[];
extern const u32 mk_trampoline_park;
const char *mk_unsupported(void);
bool mk_x2apic(void);
bool mk_huge_pages(void);
bool mk_for_timers(unsigned int cpu);
bool mk_wide_apic_ids(void);
bool mk_cpu_has_apic(unsigned int cpu);
u32 mk_apic_id(unsigned int cpu);
bool mk_apic_id_in_use(u32 apic_id);
bool mk_cpu_possible(unsigned int cpu);
bool mk_cpu_online(unsigned int cpu);
bool mk_cpu_shares_core(unsigned int cpu);
void mk_icr_write(u32 icr, u32 apic_id);
u32 mk_tsc_khz(void);
u32 mk_trace_msrs(u32 *msrs, u32 len);
u32 mk_cr4_mce(void);
bool mk_in_compat_syscall(void);

/* doorbell.c */
struct mk_doorbell;
struct mk_doorbell_ops {
	/* In hard interrupt context; whether to serve, if it has a thread. */
	bool (*rung)(const void *data);
	/* May sleep. */
	void (*serve)(const void *data);
};

struct mk_doorbell *mk_doorbell_new(const char *name, size_t len, bool has_thread,
				    const struct mk_doorbell_ops *ops, const void *data);
void mk_doorbell_free(struct mk_doorbell *bell);
u64 mk_doorbell_address(const struct mk_doorbell *bell);

/* spawn.c */
struct mk_spawn_ops {
	/* A CPU makes progress, or goes offline. */
	void (*beat)(const void *data, unsigned int cpu, bool alive);
	/* A panic, with its text: any context, no locks. */
	void (*panic)(const void *data, const u8 *text, size_t len);
	/* This kernel reboots, powers off or starts another one; may sleep. */
	void (*leave)(const void *data);
};

bool mk_region_find(u64 *start, u64 *size);
u8 *mk_region_map(u64 start, u64 size);
void mk_region_unmap(u8 *region);
int mk_spawn_register(const struct mk_spawn_ops *ops, const void *data);
void mk_spawn_unregister(void);
void mk_poweroff(void);
void mk_reboot_orderly(void);

/* pages.c */
u8 *mk_phys_to_virt(u64 phys);
bool mk_copy_from_phys(u8 *to, u64 phys, unsigned int len);
unsigned long mk_pages_available(void);
u64 mk_pages_alloc(unsigned long nr_pages, int node);
u64 mk_pages_alloc_dma32(unsigned int order);
void mk_pages_free_dma32(u64 phys, unsigned int order);
void mk_pages_free(u64 phys, unsigned long nr_pages);
struct resource *mk_resource_add(const char *name, u64 start, u64 size);
void mk_resource_remove(struct resource *res);
int mk_cpu_to_node(unsigned int cpu);
bool mk_fatal_signal_pending(void);
bool mk_signal_pending(void);
void mk_cond_resched(void);
bool mk_relax(void);

/* hooks.c */
int mk_hooks_register(void);
void mk_hooks_unregister(void);
int mk_hotplug_register(void);
void mk_hotplug_unregister(void);

/* called from C, defined in Rust */
int mk_rust_cpu_starting(unsigned int cpu);
void mk_rust_cpu_online(unsigned int cpu);
int mk_rust_load(unsigned long entry, unsigned long nr_segments,
		 const struct kexec_segment *segments, unsigned long flags);
int mk_rust_start(const char *name);
void mk_rust_crash_stop(void);
void mk_rust_host_down(void);
int mk_rust_may_suspend(void);
int mk_rust_suspend(void);
void mk_rust_suspended(void);
int mk_rust_may_hibernate(void);
void mk_rust_hibernated(void);

#endif
