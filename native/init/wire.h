/*
 * What thaw-init and the engine say to each other. core/sandbox/wire.ts is the other side.
 *
 * host, descriptor 3 (SEQPACKET): one thaw_sandbox_request, one thaw_report of kind SANDBOX with, when `value` is 0,
 *   [pidfd of the sandbox's init, control socket of that init, its timens_offsets if CLONE_NEWTIME was asked for].
 * control socket of a sandbox's init (STREAM, so that Node can read it): thaw_requests in, thaw_reports out. Both have one
 *   size, and what has none travels in a memfd. Descriptors travel towards init only.
 * template, descriptor 3: one thaw_template_failure if it comes to that.
 * remover, descriptor 3 (SEQPACKET): a thaw_made for each object, once it is made, and one of kind ALL when the instance runs.
 */
#ifndef THAW_INIT_WIRE_H
#define THAW_INIT_WIRE_H

#include <stdint.h>

struct thaw_sandbox_request {
	uint64_t clone_flags; /* CLONE_NEWPID and whichever other namespaces shall be new */
	uint64_t own_shm;     /* with CLONE_NEWNS: 1 for an empty memory file system of its own on /dev/shm */
};

enum thaw_request_kind {
	THAW_REQUEST_START = 1, /* with 4 descriptors: stdin, stdout, stderr, plan */
	THAW_REQUEST_DETACH,    /* from now on it is the exit of `pid`, not of the engine, that ends the sandbox */
};

/*
 * The plan of a START is a memfd of `plan_bytes` with strings that end in NUL: the working directory, the program's file, then
 * `argument_count` arguments (the first is the name), then `environment_count` variables.
 */
struct thaw_request {
	uint32_t kind;
	int32_t pid;
	uint32_t argument_count;
	uint32_t environment_count;
	uint64_t plan_bytes;
};

enum thaw_report_kind {
	THAW_REPORT_SANDBOX = 1, /* answer of the host; `pid` is init's in the host's namespace */
	THAW_REPORT_STARTED,     /* answer to START; `pid` is the child's in the sandbox */
	THAW_REPORT_EXITED,      /* a child of init is gone: `value` is its wait status */
};

struct thaw_report {
	uint32_t kind;
	int32_t pid;
	int32_t value; /* an answer: 0 or -errno */
	char step[20]; /* an answer that failed: what was being done, NUL-terminated */
};

enum thaw_template_step {
	THAW_TEMPLATE_ARGUMENTS = 1,
	THAW_TEMPLATE_MAP_CODE,
	THAW_TEMPLATE_MAP_BUNDLE,
};

struct thaw_template_failure {
	int32_t step;
	int32_t err; /* positive */
};

enum thaw_made_kind {
	THAW_MADE_ALL,
	THAW_MADE_SEGMENT,
	THAW_MADE_SEMAPHORES,
	THAW_MADE_QUEUE,
};

struct thaw_made {
	uint32_t kind;
	int32_t id;
};

_Static_assert(sizeof(struct thaw_request) == 24, "core writes requests of this size");
_Static_assert(sizeof(struct thaw_report) == 32, "core reads reports of this size");
_Static_assert(sizeof(struct thaw_template_failure) == 8, "core reads failures of this size");
_Static_assert(sizeof(struct thaw_made) == 8, "restorers send records of this size");

#endif
