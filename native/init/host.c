/*
 * host: makes a sandbox per request. The engine could not: it is large, so that its forks are slow, and it has threads, so that what it
 * forks may hardly do anything. A sandbox's init is a fork of this small process, without execve.
 */
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/sched.h>

#include "message.h"
#include "modes.h"
#include "report.h"
#include "sandbox.h"
#include "signals.h"

#define ENGINE 3

#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_CLOEXEC 02000000

struct pair {
	int ours;
	int theirs;
};

static long make_control(struct pair *control)
{
	return sys(__NR_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control);
}

/* {reading end, writing end} */
static long make_pipe(struct pair *pipe)
{
	return sys(__NR_pipe2, pipe, O_CLOEXEC);
}

static long open_time_offsets(long pid)
{
	char path[48];
	char *at = append_text(path, "/proc/");
	at = append_number(at, (unsigned long)pid);
	append_text(at, "/timens_offsets");
	return sys(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
}

/* The time namespace is init's own business: who is cloned into one has entered it, and its offsets are frozen. */
static long clone_init(const struct thaw_sandbox_request *request, const struct pair *control, const struct pair *set_up, int *pidfd)
{
	struct clone_args args = {
		.flags = (request->clone_flags & ~(uint64_t)CLONE_NEWTIME) | CLONE_PIDFD,
		.pidfd = (uint64_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid = sys(__NR_clone3, &args, sizeof(args));

	if (pid == 0)
		sandbox_init(control->theirs, set_up->theirs, request);
	return pid;
}

static int await_set_up(int set_up, struct thaw_report *report)
{
	struct thaw_report inner;
	long count = sys(__NR_read, set_up, &inner, sizeof(inner));

	/* It writes a report or dies. */
	if (count != sizeof(inner))
		return done(report, "init", -ECHILD);
	if (inner.value)
		*report = inner;
	return !inner.value;
}

/* Fills the report and, when it went well, the descriptors for the engine. */
static void make_sandbox(const struct thaw_sandbox_request *request, struct thaw_report *report, struct descriptors *handed)
{
	struct pair control, set_up;
	int pidfd;

	if (!done(report, "socketpair", make_control(&control)))
		return;
	handed->at[handed->count++] = control.ours;
	if (!done(report, "pipe2", make_pipe(&set_up))) {
		sys(__NR_close, control.theirs);
		return;
	}
	long pid = clone_init(request, &control, &set_up, &pidfd);
	sys(__NR_close, control.theirs);
	sys(__NR_close, set_up.theirs);
	if (done(report, "clone3", pid)) {
		handed->at[handed->count++] = handed->at[0];
		handed->at[0] = pidfd;
		if (await_set_up(set_up.ours, report) && (request->clone_flags & CLONE_NEWTIME)) {
			long offsets = open_time_offsets(pid);
			if (done(report, "open(timens_offsets)", offsets))
				handed->at[handed->count++] = (int)offsets;
		}
		report->pid = (int32_t)pid;
	}
	sys(__NR_close, set_up.ours);
}

void host_mode(const struct invocation *self)
{
	struct thaw_sandbox_request request;
	struct descriptors received;

	(void)self;
	block_all_signals();
	reset_signal_actions();
	let_children_go();
	while (receive_message(ENGINE, &request, sizeof(request), &received) > 0) {
		struct thaw_report report = {.kind = THAW_REPORT_SANDBOX};
		struct descriptors handed = {0};
		static const struct descriptors none;

		close_descriptors(&received);
		make_sandbox(&request, &report, &handed);
		send_message(ENGINE, &report, sizeof(report), report.value ? &none : &handed);
		/* Ours of a control socket must go, whatever happened: init lives as long as another end is open. */
		close_descriptors(&handed);
	}
	exit_now(0);
}
