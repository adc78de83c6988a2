/*
 * template BASE SIZE CODE_SIZE: maps the interpreter and a bundle where the bundle was compiled for, and lets it run. Descriptor 4 holds
 * both. The program then replaces this address space by the tree's, which is why this executable is linked where programs never live.
 */
#include <linux/mman.h>
#include <asm/signal.h>
#include <linux/auxvec.h>

#include "modes.h"
#include "program.h"
#include "signals.h"
#include "wire.h"

#define CONTROL 3
#define BUNDLE_FILE 4

/* The first data of the bundle: core reserves it. */
struct handover {
	struct thaw_bundle bundle;
	uint64_t vdso;      /* out: where the vDSO of this process is, 0 if there is none */
	uint64_t stack_top; /* in */
};
_Static_assert(offsetof(struct handover, vdso) == 80 && offsetof(struct handover, stack_top) == 88, "core counts on these");

static void __attribute__((noreturn)) fail(int step, long result)
{
	struct thaw_template_failure failure = {.step = step, .err = (int32_t)-result};
	sys(__NR_write, CONTROL, &failure, sizeof(failure));
	exit_now(1);
}

static uint64_t find_auxiliary(const uint64_t *auxv, uint64_t type)
{
	for (; auxv[0] != AT_NULL; auxv += 2) {
		if (auxv[0] == type)
			return auxv[1];
	}
	return 0;
}

static void map(int step, unsigned long address, unsigned long size, unsigned long offset, int protection)
{
	long result = sys(__NR_mmap, address, size, protection, MAP_PRIVATE | MAP_FIXED_NOREPLACE, BUNDLE_FILE, offset);
	if (is_error(result))
		fail(step, result);
}

static void __attribute__((noreturn)) enter(unsigned long code, const struct handover *handover)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "xor %%esi, %%esi\n\t"
			 "jmp *%1"
			 :
			 : "d"(handover->stack_top), "a"(code), "D"(handover)
			 : "memory");
	__builtin_unreachable();
}

void template_mode(const struct invocation *self)
{
	unsigned long base, size, code_size;

	if (self->argc != 5 || !parse_hexadecimal(self->argv[2], &base) || !parse_number(self->argv[3], &size) ||
	    !parse_number(self->argv[4], &code_size) || code_size >= size)
		fail(THAW_TEMPLATE_ARGUMENTS, -EINVAL);

	block_all_signals();
	reset_signal_actions();
	map(THAW_TEMPLATE_MAP_CODE, base, code_size, 0, PROT_READ | PROT_EXEC);
	map(THAW_TEMPLATE_MAP_BUNDLE, base + code_size, size - code_size, code_size, PROT_READ | PROT_WRITE);
	sys(__NR_close, BUNDLE_FILE);

	struct handover *handover = (struct handover *)(base + code_size);
	handover->vdso = find_auxiliary(self->auxv, AT_SYSINFO_EHDR);
	enter(base, handover);
}
