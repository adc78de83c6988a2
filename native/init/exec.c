#include "exec.h"

#include <linux/mman.h>
#include <asm/signal.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/wait.h>

#include "namespaces.h"
#include "report.h"
#include "signals.h"

/* Where the child keeps the pipe on which it reports why it did not get to execute its program. */
#define TROUBLE 3

struct plan {
	const char *directory;
	const char *file;
	char **arguments;
	char **environment;
};

static const char *next_string(const char **at)
{
	const char *string = *at;
	*at += strlen(string) + 1;
	return string;
}

static char **read_strings(const char **at, uint32_t count, char **into)
{
	for (uint32_t i = 0; i < count; i++)
		into[i] = (char *)next_string(at);
	into[count] = 0;
	return into;
}

/* The strings stay in the memfd's mapping; beside it comes room for the two arrays that point to them. */
static int read_plan(const struct thaw_request *request, int file, struct plan *plan, struct thaw_report *trouble)
{
	size_t pointers = ((size_t)request->argument_count + request->environment_count + 2) * sizeof(char *);
	long strings = sys(__NR_mmap, 0, request->plan_bytes, PROT_READ, MAP_PRIVATE, file, 0);
	long arrays = sys(__NR_mmap, 0, pointers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!done(trouble, "mmap", strings) || !done(trouble, "mmap", arrays))
		return 0;
	const char *at = (const char *)strings;
	plan->directory = next_string(&at);
	plan->file = next_string(&at);
	plan->arguments = read_strings(&at, request->argument_count, (char **)arrays);
	plan->environment = read_strings(&at, request->environment_count, plan->arguments + request->argument_count + 1);
	return 1;
}

/* What was given has numbers above 3: init keeps 0 to 3 in use, so that nothing is overwritten before it is moved. */
static int place_descriptors(const struct descriptors *given, int trouble_pipe, struct thaw_report *trouble)
{
	for (int i = 0; i < 3; i++) {
		if (!done(trouble, "dup3", sys(__NR_dup2, given->at[i], i)))
			return 0;
	}
	return done(trouble, "dup3", sys(__NR_dup3, trouble_pipe, TROUBLE, O_CLOEXEC)) &&
	       done(trouble, "close_range", sys(__NR_close_range, TROUBLE + 1, ~0u, 0));
}

static void __attribute__((noreturn)) run_child(const struct thaw_request *request, const struct descriptors *given, int pipe)
{
	struct thaw_report trouble = {0};
	struct plan plan;

	/* SIGPIPE and the like may be blocked in init only; actions are default here as there. */
	unblock_all_signals();
	drop_ambient_capabilities();
	if (read_plan(request, given->at[3], &plan, &trouble) && place_descriptors(given, pipe, &trouble)) {
		pipe = TROUBLE;
		if (done(&trouble, "setsid", sys(__NR_setsid)) && done(&trouble, "chdir", sys(__NR_chdir, plan.directory)))
			done(&trouble, "execve", sys(__NR_execve, plan.file, plan.arguments, plan.environment));
	}
	sys(__NR_write, pipe, &trouble, sizeof(trouble));
	exit_now(127);
}

void start_child(const struct thaw_request *request, const struct descriptors *given, struct thaw_report *report)
{
	int pipe[2];
	struct thaw_report trouble;

	if (given->count != 4) {
		done(report, "descriptors", -EBADMSG);
		return;
	}
	if (!done(report, "pipe2", sys(__NR_pipe2, pipe, O_CLOEXEC)))
		return;
	long pid = sys(__NR_clone, SIGCHLD);
	if (pid == 0)
		run_child(request, given, pipe[1]);
	sys(__NR_close, pipe[1]);
	if (done(report, "clone", pid)) {
		report->pid = (int32_t)pid;
		/* Ends without a byte when execve closes the other end, or when the child is killed before. */
		if (sys(__NR_read, pipe[0], &trouble, sizeof(trouble)) == sizeof(trouble)) {
			done(report, trouble.step, trouble.value);
			sys(__NR_wait4, pid, 0, __WALL);
		}
	}
	sys(__NR_close, pipe[0]);
}
