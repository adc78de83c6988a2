#include "signals.h"

#include <asm/signal.h>

#include "base.h"

static void set_mask(uint64_t mask)
{
	sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof(mask));
}

void block_all_signals(void)
{
	set_mask(~0ul);
}

void unblock_all_signals(void)
{
	set_mask(0);
}

static void set_action(int signal, __sighandler_t handler)
{
	struct sigaction action = {.sa_handler = handler};
	sys(__NR_rt_sigaction, signal, &action, 0, sizeof(uint64_t));
}

void reset_signal_actions(void)
{
	/* KILL and STOP refuse. */
	for (int signal = 1; signal <= 64; signal++)
		set_action(signal, SIG_DFL);
}

void let_children_go(void)
{
	set_action(SIGCHLD, SIG_IGN);
}

void keep_dead_children(void)
{
	set_action(SIGCHLD, SIG_DFL);
}
