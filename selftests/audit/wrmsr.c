// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU: writes "msr CPU INDEX VALUE" to QEMU's log for each WRMSR and WRMSRNS that an emulated CPU
 * is about to execute, before the guest's exception handler, if any, decides whether it counts.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Distributions ship QEMU without qemu-plugin.h and glib's headers: what is needed of them, version 4 of the API. */
typedef struct { char *data; unsigned int len; } GArray;
typedef struct { uint8_t *data; unsigned int len; } GByteArray;
GByteArray *g_byte_array_new(void);
GByteArray *g_byte_array_set_size(GByteArray *array, unsigned int length);
char *g_array_free(GArray *array, int free_segment);

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_register;
typedef struct {
	struct qemu_plugin_register *handle;
	const char *name;
	const char *feature;
} qemu_plugin_reg_descriptor;
enum { QEMU_PLUGIN_CB_R_REGS = 1 };

void qemu_plugin_outs(const char *string);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t length);
GArray *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(struct qemu_plugin_register *handle, GByteArray *buffer);
void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, unsigned int));
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*callback)(unsigned int, void *),
					    int flags, void *data);

int qemu_plugin_version = 4;

#define CPUS 64
enum { AX, CX, DX, NR };
static const char *const names[NR] = { "rax", "rcx", "rdx" };
static struct qemu_plugin_register *registers[CPUS][NR];

static void find_registers(qemu_plugin_id_t id, unsigned int cpu)
{
	GArray *all = qemu_plugin_get_registers();
	const qemu_plugin_reg_descriptor *found = (void *)all->data;

	for (unsigned int i = 0; cpu < CPUS && i < all->len; i++)
		for (int reg = 0; reg < NR; reg++)
			if (!strcmp(found[i].name, names[reg]))
				registers[cpu][reg] = found[i].handle;
	g_array_free(all, 1);
}

static uint32_t low_half(unsigned int cpu, int reg)
{
	static __thread GByteArray *buffer;
	uint32_t value = 0;

	if (!buffer)
		buffer = g_byte_array_new();
	g_byte_array_set_size(buffer, 0);
	if (qemu_plugin_read_register(registers[cpu][reg], buffer) >= (int)sizeof(value))
		memcpy(&value, buffer->data, sizeof(value));
	return value;
}

static void write_msr(unsigned int cpu, void *data)
{
	char line[80];

	if (cpu >= CPUS)
		return;
	snprintf(line, sizeof(line), "msr %u %#x %#llx\n", cpu, low_half(cpu, CX),
		 (unsigned long long)low_half(cpu, DX) << 32 | low_half(cpu, AX));
	qemu_plugin_outs(line);
}

/* Kernels pad it with a prefix, so that its alternative fits. */
static int is_wrmsr(const uint8_t *code, size_t length)
{
	for (; length >= 2; code++, length--) {
		if (code[0] == 0x0f)
			return code[1] == 0x30 || (length >= 3 && code[1] == 0x01 && code[2] == 0xc6);
		if (!memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", code[0], 10) && (code[0] & 0xf0) != 0x40)
			return 0;
	}
	return 0;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t code[15];

		if (is_wrmsr(code, qemu_plugin_insn_data(insn, code, sizeof(code))))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, write_msr, QEMU_PLUGIN_CB_R_REGS, NULL);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	qemu_plugin_register_vcpu_init_cb(id, find_registers);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
