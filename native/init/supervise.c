/*
 * supervise [--] COMMAND…: runs COMMAND, the engine, in a pid namespace that ends with its lifeline, which is our standard input.
 *
 *   supervise (outside)  ->  init (pid 1 inside)  ->  COMMAND
 *
 * Both of us watch the lifeline, and init watches a pipe that only supervise holds open: whichever of the two is killed, the
 * namespace goes. PR_SET_PDEATHSIG would not do: it fires when the thread that forked exits.
 */
#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "modes.h"
#include "namespaces.h"
#include "report.h"
#include "signals.h"

#define LIFELINE 0
/* Where both keep what they watch; all else from here on belongs to COMMAND alone, whose peers shall see it close. */
#define WATCHED 3

static void __attribute__((noreturn)) give_up(const struct thaw_report *trouble)
{
	complain(trouble->step, trouble->value);
	exit_now(3);
}

/* Data on the lifeline means nothing; its end does. */
static int has_ended(int file)
{
	char ignored[256];
	return sys(__NR_read, file, ignored, sizeof(ignored)) <= 0;
}

static void keep_only(int first, int second)
{
	long spare = sys(__NR_fcntl, second, F_DUPFD_CLOEXEC, WATCHED + 2);
	sys(__NR_dup2, first, WATCHED);
	sys(__NR_dup2, spare, WATCHED + 1);
	sys(__NR_close_range, WATCHED + 2, ~0u, 0);
}

static long run_command(const struct invocation *self, char **command)
{
	long pid = sys(__NR_clone, SIGCHLD);
	if (pid)
		return pid;
	long null = sys(__NR_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	sys(__NR_dup2, null, 0);
	unblock_all_signals();
	complain(command[0], sys(__NR_execve, command[0], command, self->envp));
	exit_now(127);
}

static void reap_until(long command)
{
	int status;
	long pid;

	while ((pid = sys(__NR_wait4, -1, &status, WNOHANG | __WALL)) > 0) {
		if (pid == command)
			exit_now(exit_code_of(status));
	}
}

static void __attribute__((noreturn)) be_init(const struct invocation *self, char **command, const int *alive)
{
	struct thaw_report trouble = {0};
	uint64_t child_signal = 1ul << (SIGCHLD - 1);

	sys(__NR_close, alive[1]);
	if (!set_up_mounts(0, &trouble) || !done(&trouble, "setsid", sys(__NR_setsid)))
		give_up(&trouble);
	long children = sys(__NR_signalfd4, -1, &child_signal, sizeof(child_signal), O_CLOEXEC | O_NONBLOCK);
	long pid = run_command(self, command);
	if (!done(&trouble, "signalfd", children) || !done(&trouble, "clone", pid))
		give_up(&trouble);
	keep_only(alive[0], (int)children);

	struct pollfd polled[] = {{LIFELINE, POLLIN, 0}, {WATCHED, POLLIN, 0}, {WATCHED + 1, POLLIN, 0}};
	for (;;) {
		sys(__NR_poll, polled, 3, -1);
		if (polled[2].revents) {
			has_ended(WATCHED + 1);
			reap_until(pid);
		}
		if ((polled[0].revents && has_ended(LIFELINE)) || (polled[1].revents && has_ended(WATCHED)))
			exit_now(0);
	}
}

static long clone_init(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD, .pidfd = (uint64_t)pidfd, .exit_signal = SIGCHLD};
	return sys(__NR_clone3, &args, sizeof(args));
}

/* Ends with init; ends init when the lifeline does. */
static void __attribute__((noreturn)) watch(long init, int pidfd)
{
	struct pollfd polled[] = {{LIFELINE, POLLIN, 0}, {pidfd, POLLIN, 0}};
	int status = 0;

	do {
		sys(__NR_poll, polled, 2, -1);
		if (polled[0].revents && has_ended(LIFELINE)) {
			sys(__NR_pidfd_send_signal, pidfd, SIGKILL);
			sys(__NR_wait4, init, &status, __WALL);
			exit_now(0);
		}
	} while (!polled[1].revents);
	sys(__NR_wait4, init, &status, __WALL);
	exit_now(exit_code_of(status));
}

void supervise_mode(const struct invocation *self)
{
	char **command = self->argv + 2;
	struct thaw_report trouble = {0};
	int alive[2], pidfd;

	if (*command && same_text(*command, "--"))
		command++;
	if (!*command) {
		complain("supervise: no command", 0);
		exit_now(2);
	}
	/* INT, TERM and HUP among them: what ends us is the lifeline. */
	block_all_signals();
	reset_signal_actions();
	if (!done(&trouble, "pipe2", sys(__NR_pipe2, alive, O_CLOEXEC)))
		give_up(&trouble);

	long init = clone_init(&pidfd);
	/* Without CAP_SYS_ADMIN it works in a user namespace of our own. */
	if (init == -EPERM && enter_user_namespace(&trouble))
		init = clone_init(&pidfd);
	if (trouble.value || !done(&trouble, "clone3", init < 0 ? init : 0))
		give_up(&trouble);
	if (init == 0)
		be_init(self, command, alive);
	keep_only(pidfd, alive[1]);
	watch(init, WATCHED);
}
