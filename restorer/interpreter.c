/*
 * The interpreter: runs programs (program.h) as the parasite inside a seized process, in the template, and as the restorer inside
 * a forked child. Freestanding: no libc, no thread-local storage, no heap, no writable globals, no vector registers.
 *
 * Life of a run: thaw_run() picks the program, step() carries out one operation, a failure goes on with the program's
 * on_failure program, and nothing returns: a program ends by LEAVE, by an exit system call, or by running off its end,
 * which is a mistake of the compiler and ends the process.
 */
#include "program.h"
#include "syscall.h"

#include <asm/unistd_64.h>
#include <linux/futex.h>

static int64_t value_of(const struct thaw_bundle *bundle, const struct thaw_op *op, int i)
{
	if (op->cells & (1u << i))
		return ((const int64_t *)bundle->cells)[op->args[i]];
	return (int64_t)op->args[i];
}

static void copy_bytes(void *to, const void *from, uint64_t count)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static int64_t load(uint64_t address, int width)
{
	switch (width) {
	case 1: return *(volatile uint8_t *)address;
	case 2: return *(volatile uint16_t *)address;
	case 4: return *(volatile uint32_t *)address;
	default: return *(volatile int64_t *)address;
	}
}

static void store(uint64_t address, int64_t value, int width)
{
	switch (width) {
	case 1: *(volatile uint8_t *)address = (uint8_t)value; break;
	case 2: *(volatile uint16_t *)address = (uint16_t)value; break;
	case 4: *(volatile uint32_t *)address = (uint32_t)value; break;
	default: *(volatile int64_t *)address = value; break;
	}
}

/*
 * Not FUTEX_PRIVATE: the word may lie in memory that several processes share. Who waits for many to add is woken once, by the last of them.
 */
static void add_and_wake(uint32_t *word, uint32_t delta, uint32_t awaited)
{
	uint32_t now = __atomic_add_fetch(word, delta, __ATOMIC_SEQ_CST);

	if (awaited != 0 && now != awaited)
		return;
	raw_syscall(__NR_futex, (long)word, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
}

static void wait_for(uint32_t *word, uint32_t wanted)
{
	for (;;) {
		uint32_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		if (seen == wanted)
			return;
		raw_syscall(__NR_futex, (long)word, FUTEX_WAIT, seen, 0, 0, 0);
	}
}

static void restore_extended_state(uint64_t area, uint64_t components)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)components), "d"((uint32_t)(components >> 32)) : "memory");
}

static int compare(int how, int64_t left, int64_t right)
{
	switch (how) {
	case THAW_COMPARE_EQUAL: return left == right;
	case THAW_COMPARE_NOT_EQUAL: return left != right;
	case THAW_COMPARE_LESS: return left < right;
	default: return 1;
	}
}

/*
 * clone3 whose child goes on with another program. The child may stand on a new stack, so it must not return through our frames: it
 * calls thaw_run with what the parent kept in registers, which a clone copies.
 */
static int64_t spawn(struct thaw_bundle *bundle, uint32_t program, int64_t clone_args, int64_t size)
{
	register struct thaw_bundle *child_bundle __asm__("r12") = bundle;
	register uint64_t child_program __asm__("r13") = program;
	int64_t result;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "and $-16, %%rsp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "mov %%r13, %%rsi\n\t"
			 "call thaw_run\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"((long)__NR_clone3), "D"(clone_args), "S"(size), "r"(child_bundle), "r"(child_program)
			 : "rcx", "r11", "memory");
	return result;
}

/* The kernel finds the frame 8 bytes below the stack pointer: that is where a handler's return address was popped from. */
static void __attribute__((noreturn)) leave(int64_t ucontext)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "mov %1, %%eax\n\t"
			 "syscall\n\t"
			 "ud2"
			 :
			 : "r"(ucontext), "i"(__NR_rt_sigreturn)
			 : "memory");
	__builtin_unreachable();
}

static int64_t perform(struct thaw_bundle *bundle, const struct thaw_op *op)
{
	int64_t a[6];
	for (int i = 0; i < 6; i++)
		a[i] = value_of(bundle, op, i);

	switch (op->code) {
	case THAW_OP_SYSCALL: return raw_syscall(op->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	case THAW_OP_SPAWN: return spawn(bundle, op->target, a[0], a[1]);
	case THAW_OP_LOAD: return load((uint64_t)a[0], op->nr);
	case THAW_OP_STORE: store((uint64_t)a[0], a[1], op->nr); return 0;
	case THAW_OP_COPY: copy_bytes((void *)a[0], (const void *)a[1], (uint64_t)a[2]); return 0;
	case THAW_OP_ADD: add_and_wake((uint32_t *)a[0], (uint32_t)a[1], (uint32_t)a[2]); return 0;
	case THAW_OP_WAIT: wait_for((uint32_t *)a[0], (uint32_t)a[1]); return 0;
	case THAW_OP_JUMP: return compare(op->nr, a[0], a[1]);
	case THAW_OP_LEAVE: leave(a[0]);
	case THAW_OP_SUM: return a[0] + a[1];
	case THAW_OP_XRSTOR: restore_extended_state((uint64_t)a[0], (uint64_t)a[1]); return 0;
	case THAW_OP_PRODUCT: return a[0] * a[1];
	case THAW_OP_QUOTIENT: return a[0] / a[1];
	default: return -38; /* ENOSYS: a program of another version */
	}
}

static int as_expected(const struct thaw_op *op, int64_t result)
{
	switch (op->expect) {
	case THAW_EXPECT_OK: return !is_error(result);
	case THAW_EXPECT_EQUAL: return result == op->expected;
	case THAW_EXPECT_OK_OR: return !is_error(result) || result == op->expected;
	default: return 1;
	}
}

static void record_failure(struct thaw_bundle *bundle, const struct thaw_op *op, int64_t result)
{
	uint32_t none = 0;
	if (!__atomic_compare_exchange_n(&bundle->failed, &none, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	bundle->failed_op = (uint32_t)(op - (const struct thaw_op *)bundle->ops);
	bundle->failed_result = result;
	bundle->failed_tid = raw_syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
}

void __attribute__((noreturn, used, visibility("hidden"))) thaw_run(struct thaw_bundle *bundle, uint64_t index)
{
	const struct thaw_program *programs = (const struct thaw_program *)bundle->programs;

	while (index != THAW_NO_PROGRAM) {
		const struct thaw_program *program = &programs[index];
		const struct thaw_op *ops = (const struct thaw_op *)bundle->ops + program->first_op;
		uint32_t at = 0;

		index = THAW_NO_PROGRAM;
		while (at < program->op_count) {
			const struct thaw_op *op = &ops[at++];
			int64_t result = perform(bundle, op);

			if (op->code == THAW_OP_JUMP) {
				if (result)
					at = op->target;
				continue;
			}
			if (op->out != THAW_NO_CELL)
				((int64_t *)bundle->cells)[op->out] = result;
			if (!as_expected(op, result)) {
				record_failure(bundle, op, result);
				index = program->on_failure;
				break;
			}
		}
	}
	for (;;)
		raw_syscall(__NR_exit_group, 1, 0, 0, 0, 0, 0);
}
