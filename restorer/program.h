/*
 * The program format: what core/ compiles and the interpreter runs.
 *
 * A bundle is one piece of memory, compiled for the address it will stand at:
 *
 *   struct thaw_bundle | data, stacks, frames | struct thaw_program[] | struct thaw_op[] | cells (int64_t[])
 *
 * A program is a range of operations. Nearly every operation is a system call; each of its arguments is a constant (which
 * may be an address inside the bundle: core knows where it will stand) or the value of a cell. A cell holds the result of an earlier
 * operation, or a slot that was filled in from outside. Cells are shared by all programs of a bundle as far as the
 * memory is: a thread sees what its process stored, a forked child sees what was stored before the fork.
 *
 * This header is the one source of truth: the addon exports THAW_FORMAT_CONSTANTS to core. Any change bumps THAW_VERSION.
 */
#ifndef THAW_PROGRAM_H
#define THAW_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#define THAW_MAGIC 0x57414854u /* "THAW" */
#define THAW_VERSION 2

/* An invalid system call number that a parasite makes to say "done": its tracer catches the entry; untraced it is a harmless ENOSYS. */
#define THAW_MARKER_SYSCALL 0x7468

#define THAW_NO_CELL 0xffffffffu
#define THAW_NO_PROGRAM 0xffffffffu

enum thaw_code {
	THAW_OP_SYSCALL = 1, /* out = syscall(nr, args...) */
	THAW_OP_SPAWN,       /* out = clone3(args[0], args[1]); the child runs program `target` */
	THAW_OP_LOAD,        /* out = *args[0], zero-extended from `nr` bytes */
	THAW_OP_STORE,       /* *args[0] = args[1], `nr` bytes */
	THAW_OP_COPY,        /* memcpy(args[0], args[1], args[2]) */
	THAW_OP_ADD,         /* atomically *(uint32_t *)args[0] += args[1], then, if args[2] is 0 or what it now is, wake all waiters */
	THAW_OP_WAIT,        /* futex-wait until *(uint32_t *)args[0] == args[1] */
	THAW_OP_JUMP,        /* if args[0] <nr> args[1], go on at operation `target` of this program */
	THAW_OP_LEAVE,       /* rt_sigreturn with the ucontext at args[0] */
	THAW_OP_SUM,         /* out = args[0] + args[1] */
	THAW_OP_XRSTOR,      /* loads the components args[1] of the extended state at args[0] */
	THAW_OP_PRODUCT,     /* out = args[0] * args[1] */
	THAW_OP_QUOTIENT,    /* out = args[0] / args[1], signed, towards zero; args[1] is a constant other than 0 and -1 */
};

enum thaw_expect {
	THAW_EXPECT_ANY = 0, /* no result is a failure */
	THAW_EXPECT_OK,      /* anything but -4095..-1 */
	THAW_EXPECT_EQUAL,   /* exactly `expected` */
	THAW_EXPECT_OK_OR,   /* anything but an error, or the error `expected` */
};

enum thaw_compare {
	THAW_COMPARE_ALWAYS = 0,
	THAW_COMPARE_EQUAL,
	THAW_COMPARE_NOT_EQUAL,
	THAW_COMPARE_LESS, /* signed */
};

struct thaw_op {
	uint16_t code;
	uint16_t nr;     /* system call number; width in bytes; comparison */
	uint8_t cells;   /* bit i: args[i] is the index of a cell, not a value */
	uint8_t expect;
	uint16_t reserved;
	uint32_t out;    /* cell for the result, or THAW_NO_CELL */
	uint32_t target; /* program of a SPAWN, operation of a JUMP */
	uint64_t args[6];
	int64_t expected;
};

struct thaw_program {
	uint32_t first_op;
	uint32_t op_count;
	uint32_t on_failure; /* program to go on with when an operation fails, or THAW_NO_PROGRAM: exit_group(1) */
	uint32_t reserved;
};

struct thaw_bundle {
	uint32_t magic;
	uint16_t version;
	uint16_t op_size;
	uint64_t base; /* address of this struct */
	uint64_t size_bytes;
	uint64_t programs; /* addresses */
	uint64_t ops;
	uint64_t cells;
	uint32_t program_count;
	uint32_t cell_count;
	/* The first failure. `failed` is taken atomically, the rest belongs to who took it. */
	uint32_t failed;
	uint32_t failed_op; /* index into ops, over all programs */
	int64_t failed_result;
	int64_t failed_tid;
};

_Static_assert(sizeof(struct thaw_op) == 72, "core writes operations of this size");
_Static_assert(sizeof(struct thaw_program) == 16, "core writes programs of this size");
_Static_assert(sizeof(struct thaw_bundle) == 80, "core writes a header of this size");

#define THAW_FORMAT_CONSTANTS(X)                                                                                       \
	X(MAGIC, THAW_MAGIC)                                                                                           \
	X(VERSION, THAW_VERSION)                                                                                       \
	X(MARKER_SYSCALL, THAW_MARKER_SYSCALL)                                                                         \
	X(NO_CELL, THAW_NO_CELL)                                                                                       \
	X(NO_PROGRAM, THAW_NO_PROGRAM)                                                                                 \
	X(OP_SYSCALL, THAW_OP_SYSCALL)                                                                                 \
	X(OP_SPAWN, THAW_OP_SPAWN)                                                                                     \
	X(OP_LOAD, THAW_OP_LOAD)                                                                                       \
	X(OP_STORE, THAW_OP_STORE)                                                                                     \
	X(OP_COPY, THAW_OP_COPY)                                                                                       \
	X(OP_ADD, THAW_OP_ADD)                                                                                         \
	X(OP_WAIT, THAW_OP_WAIT)                                                                                       \
	X(OP_JUMP, THAW_OP_JUMP)                                                                                       \
	X(OP_LEAVE, THAW_OP_LEAVE)                                                                                     \
	X(OP_SUM, THAW_OP_SUM)                                                                                         \
	X(OP_XRSTOR, THAW_OP_XRSTOR)                                                                                   \
	X(OP_PRODUCT, THAW_OP_PRODUCT)                                                                                 \
	X(OP_QUOTIENT, THAW_OP_QUOTIENT)                                                                               \
	X(EXPECT_ANY, THAW_EXPECT_ANY)                                                                                 \
	X(EXPECT_OK, THAW_EXPECT_OK)                                                                                   \
	X(EXPECT_EQUAL, THAW_EXPECT_EQUAL)                                                                             \
	X(EXPECT_OK_OR, THAW_EXPECT_OK_OR)                                                                             \
	X(COMPARE_ALWAYS, THAW_COMPARE_ALWAYS)                                                                         \
	X(COMPARE_EQUAL, THAW_COMPARE_EQUAL)                                                                           \
	X(COMPARE_NOT_EQUAL, THAW_COMPARE_NOT_EQUAL)                                                                   \
	X(COMPARE_LESS, THAW_COMPARE_LESS)                                                                             \
	X(SIZEOF_OP, sizeof(struct thaw_op))                                                                           \
	X(SIZEOF_PROGRAM, sizeof(struct thaw_program))                                                                 \
	X(SIZEOF_BUNDLE, sizeof(struct thaw_bundle))                                                                   \
	X(OFFSETOF_OP_NR, offsetof(struct thaw_op, nr))                                                                \
	X(OFFSETOF_OP_CELLS, offsetof(struct thaw_op, cells))                                                          \
	X(OFFSETOF_OP_EXPECT, offsetof(struct thaw_op, expect))                                                        \
	X(OFFSETOF_OP_OUT, offsetof(struct thaw_op, out))                                                              \
	X(OFFSETOF_OP_TARGET, offsetof(struct thaw_op, target))                                                        \
	X(OFFSETOF_OP_ARGS, offsetof(struct thaw_op, args))                                                            \
	X(OFFSETOF_OP_EXPECTED, offsetof(struct thaw_op, expected))                                                    \
	X(OFFSETOF_BUNDLE_FAILED, offsetof(struct thaw_bundle, failed))                                                \
	X(OFFSETOF_BUNDLE_FAILED_OP, offsetof(struct thaw_bundle, failed_op))                                          \
	X(OFFSETOF_BUNDLE_FAILED_RESULT, offsetof(struct thaw_bundle, failed_result))                                  \
	X(OFFSETOF_BUNDLE_FAILED_TID, offsetof(struct thaw_bundle, failed_tid))

#endif
