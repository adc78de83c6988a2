/*
 * pid 1 of a sandbox. Life: set up once, then requests from the engine and deaths of children until the lifeline ends: that is the
 * control socket, or, once detached, the child that was named. When this process exits the kernel kills everything else.
 *
 * Signals are left at their defaults, which pid 1 of a namespace does not feel.
 */
#include "sandbox.h"

#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "exec.h"
#include "message.h"
#include "namespaces.h"
#include "report.h"
#include "signals.h"

#define SET_UP 4
#define CHILDREN 5 /* signalfd */

static long watch_children(void)
{
	uint64_t mask = 1ul << (SIGCHLD - 1);
	return sys(__NR_signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK);
}

static void keep_only(int control, int set_up)
{
	/* Both come from above 4: the host has its own socket at 3, and made the engine's ends first. */
	sys(__NR_dup3, control, SANDBOX_CONTROL, O_CLOEXEC);
	sys(__NR_dup3, set_up, SET_UP, O_CLOEXEC);
	sys(__NR_close_range, SET_UP + 1, ~0u, 0);
}

static void set_up_sandbox(const struct thaw_sandbox_request *request, struct thaw_report *report)
{
	uint64_t flags = request->clone_flags;

	keep_dead_children();
	if (!done(report, "setsid", sys(__NR_setsid)))
		return;
	if (!done(report, "signalfd", watch_children()))
		return;
	if ((flags & CLONE_NEWNS) && !set_up_mounts(request->own_shm, report))
		return;
	if ((flags & CLONE_NEWNET) && !set_up_loopback(report))
		return;
	if (flags & CLONE_NEWTIME)
		done(report, "unshare(NEWTIME)", sys(__NR_unshare, CLONE_NEWTIME));
}

static void tell(const struct thaw_report *report)
{
	send_message(SANDBOX_CONTROL, report, sizeof(*report), 0);
}

/* Life of a detached sandbox: as long as this child. 0 while it is the engine's. */
struct lifeline {
	int pid;
};

static void reap(const struct lifeline *lifeline)
{
	char signals[1024];
	int status;
	long pid;

	/* Many deaths may be one signal. */
	sys(__NR_read, CHILDREN, signals, sizeof(signals));
	while ((pid = sys(__NR_wait4, -1, &status, WNOHANG | __WALL)) > 0) {
		struct thaw_report report = {.kind = THAW_REPORT_EXITED, .pid = (int32_t)pid, .value = status};
		tell(&report);
		if (pid == lifeline->pid)
			exit_now(exit_code_of(status));
	}
}

static void detach(struct lifeline *lifeline, int pid)
{
	/* It may be gone already, and its status with it. */
	if (sys(__NR_kill, pid, 0) == -ESRCH)
		exit_now(0);
	lifeline->pid = pid;
}

/* False at the end of the control socket. */
static int serve(struct lifeline *lifeline)
{
	struct thaw_request request;
	struct descriptors received;
	struct thaw_report report = {.kind = THAW_REPORT_STARTED};

	if (receive_message(SANDBOX_CONTROL, &request, sizeof(request), &received) <= 0)
		return 0;
	switch (request.kind) {
	case THAW_REQUEST_START:
		start_child(&request, &received, &report);
		tell(&report);
		break;
	case THAW_REQUEST_DETACH:
		detach(lifeline, request.pid);
		break;
	}
	close_descriptors(&received);
	return 1;
}

void sandbox_init(int control, int set_up, const struct thaw_sandbox_request *request)
{
	struct thaw_report report = {.kind = THAW_REPORT_SANDBOX};
	struct lifeline lifeline = {0};

	keep_only(control, set_up);
	set_up_sandbox(request, &report);
	sys(__NR_write, SET_UP, &report, sizeof(report));
	sys(__NR_close, SET_UP);
	if (report.value)
		exit_now(1);

	struct pollfd polled[] = {{.fd = SANDBOX_CONTROL, .events = POLLIN}, {.fd = CHILDREN, .events = POLLIN}};
	for (;;) {
		sys(__NR_poll, polled, 2, -1);
		if (polled[1].revents)
			reap(&lifeline);
		if (polled[0].revents && !serve(&lifeline)) {
			if (!lifeline.pid)
				exit_now(0);
			polled[0].fd = -1; /* detached: poll skips it */
		}
	}
}
