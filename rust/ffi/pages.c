// SPDX-License-Identifier: GPL-2.0
/* The C shim, memory half: page ranges that leave the host, and their names. */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/uaccess.h>

#include "shim.h"

u8 *mk_phys_to_virt(u64 phys)
{
	return phys_to_virt(phys);
}

/* Memory may be broken there, which must not break the host; false then. */
bool mk_copy_from_phys(u8 *to, u64 phys, unsigned int len)
{
	return !copy_mc_to_kernel(to, phys_to_virt(phys), len);
}

unsigned long mk_pages_available(void)
{
	long pages = si_mem_available();

	return pages > 0 ? pages : 0;
}

/* Whether the page allocator would still take from this zone for the host itself. */
static bool mk_zone_has_left(struct zone *zone)
{
	return zone_page_state(zone, NR_FREE_PAGES) >=
	       high_wmark_pages(zone) + zone->lowmem_reserve[ZONE_NORMAL];
}

/*
 * alloc_contig_pages() knows neither watermarks nor reserves: it goes from
 * ZONE_NORMAL to the memory of devices on one node before it tries the next.
 */
static struct page *mk_contig_alloc(unsigned long nr_pages, int node)
{
	nodemask_t nodes = node_states[N_MEMORY];
	struct page *page;

	while (!nodes_empty(nodes)) {
		page = alloc_contig_pages(nr_pages, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN,
					  node, &nodes);
		if (!page || mk_zone_has_left(page_zone(page)))
			return page;
		node_clear(page_to_nid(page), nodes);
		free_contig_range(page_to_pfn(page), nr_pages);
	}
	return NULL;
}

/*
 * Physically contiguous, zeroed pages that the host promises not to touch:
 * PageOffline keeps kcore, hibernation and dumps away. 0 if there are none.
 */
u64 mk_pages_alloc(unsigned long nr_pages, int node)
{
	struct page *page = mk_contig_alloc(nr_pages, node);
	unsigned long i;

	if (!page)
		return 0;
	for (i = 0; i < nr_pages; i++)
		__SetPageOffline(page + i);
	return page_to_phys(page);
}

/* Zeroes the pages, whatever they held, and gives them back. */
void mk_pages_free(u64 phys, unsigned long nr_pages)
{
	unsigned long pfn = PHYS_PFN(phys), i;

	for (i = 0; i < nr_pages; i++) {
		struct page *page = pfn_to_page(pfn + i);

		clear_highpage(page);
		__ClearPageOffline(page);
		if (!(i % 1024))
			cond_resched();
	}
	free_contig_range(pfn, nr_pages);
}

u64 mk_pages_alloc_dma32(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO | __GFP_NOWARN, order);

	return page ? page_to_phys(page) : 0;
}

void mk_pages_free_dma32(u64 phys, unsigned int order)
{
	struct page *page = pfn_to_page(PHYS_PFN(phys));
	unsigned int i;

	for (i = 0; i < 1U << order; i++)
		clear_highpage(page + i);
	__free_pages(page, order);
}

struct resource *mk_resource_add(const char *name, u64 start, u64 size)
{
	struct resource *res = kzalloc(sizeof(*res), GFP_KERNEL);

	if (!res)
		return NULL;
	res->name = name;
	res->start = start;
	res->end = start + size - 1;
	res->flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	if (insert_resource(&iomem_resource, res)) {
		kfree(res);
		return NULL;
	}
	return res;
}

void mk_resource_remove(struct resource *res)
{
	remove_resource(res);
	kfree(res);
}

int mk_cpu_to_node(unsigned int cpu)
{
	return cpu_to_node(cpu);
}

bool mk_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

bool mk_signal_pending(void)
{
	return signal_pending(current);
}

void mk_cond_resched(void)
{
	cond_resched();
}

/* Whether a thread that looks at memory again and again may go on. */
bool mk_relax(void)
{
	cpu_relax();
	return !need_resched() && !signal_pending(current);
}
