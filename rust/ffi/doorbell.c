// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, doorbell part: an interrupt that a peer kernel sends.
 *
 * There is no device behind it: a vector of the local APICs, as each MSI has
 * one, that x86_vector_domain gives and moves when its CPU goes.
 */
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <asm/apic.h>
#include <asm/hw_irq.h>
#include <asm/irqdomain.h>

#include "shim.h"

struct mk_doorbell {
	int virq;
	const struct mk_doorbell_ops *ops;
	const void *data;
	char name[48];
};

static irqreturn_t mk_doorbell_rung(int irq, void *arg)
{
	struct mk_doorbell *bell = arg;

	return bell->ops->rung(bell->data) ? IRQ_WAKE_THREAD : IRQ_HANDLED;
}

/* In a thread of the interrupt's, on its CPU: a real-time one. */
static irqreturn_t mk_doorbell_serve(int irq, void *arg)
{
	struct mk_doorbell *bell = arg;

	bell->ops->serve(bell->data);
	return IRQ_HANDLED;
}

/*
 * NULL when there is no vector left. Only a doorbell of a peer that is trusted
 * has a thread: it rings as often as it likes.
 */
struct mk_doorbell *mk_doorbell_new(const char *name, size_t len, bool has_thread,
				    const struct mk_doorbell_ops *ops, const void *data)
{
	struct mk_doorbell *bell = kzalloc_obj(*bell);
	struct irq_alloc_info info = { };
	irq_handler_t serve;

	if (!bell)
		return NULL;
	bell->ops = ops;
	bell->data = data;
	snprintf(bell->name, sizeof(bell->name), "multikernel:%.*s", (int)len, name);
	bell->virq = irq_domain_alloc_irqs(x86_vector_domain, 1, NUMA_NO_NODE, &info);
	if (bell->virq < 0)
		goto free;
	irq_set_handler(bell->virq, handle_edge_irq);
	/* One that rings while the thread is at it is no broken device's, to be switched off. */
	irq_set_status_flags(bell->virq, IRQ_IS_POLLED);
	serve = has_thread ? mk_doorbell_serve : NULL;
	if (request_threaded_irq(bell->virq, mk_doorbell_rung, serve, IRQF_NOBALANCING, bell->name,
				 bell))
		goto free_virq;
	return bell;
free_virq:
	irq_domain_free_irqs(bell->virq, 1);
free:
	kfree(bell);
	return NULL;
}

/* Waits for both handlers. */
void mk_doorbell_free(struct mk_doorbell *bell)
{
	free_irq(bell->virq, bell);
	irq_domain_free_irqs(bell->virq, 1);
	kfree(bell);
}

/*
 * Where to send it: bits 31..0 APIC id, from bit 32 on the vector; 0 when it
 * is nowhere. It may move at this very moment: who tells it to others looks
 * again later. The id is the CPU's own, which cfg->dest_apicid is not in
 * x2APIC cluster mode.
 */
u64 mk_doorbell_address(const struct mk_doorbell *bell)
{
	struct irq_data *data = irq_get_irq_data(bell->virq);
	unsigned int cpu = cpumask_first(irq_data_get_effective_affinity_mask(data));

	if (cpu >= nr_cpu_ids)
		return 0;
	return per_cpu(x86_cpu_to_apicid, cpu) | (u64)READ_ONCE(irqd_cfg(data)->vector) << 32;
}
