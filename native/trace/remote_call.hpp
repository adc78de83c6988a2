// Making a stopped task perform system calls.
#pragma once

#include "base/types.hpp"
#include "trace/state.hpp"
#include "trace/wait_status.hpp"

namespace thaw {

/**
 * Sets `registers`, whose rip stands at a `syscall` instruction, and lets the task run to the entry of the call and to its exit, where it
 * is left. Returns rax, a negative errno included. Throws UnexpectedStop when it reports anything else: its signals must be masked. SIGSTOP, which cannot be,
 * takes effect when the task is detached.
 */
int64_t call_remote(Pid tid, const Registers& registers);

/**
 * Lets the task run until it is about to make system call `number`, skips that call and leaves the task in its exit stop; returns how
 * many calls it finished on the way.
 * Throws UnexpectedStop when it stops for a signal or dies.
 */
uint32_t run_until_syscall(Pid tid, Integer number);

/**
 * Lets the task run until `signal` is about to be delivered to it, where it is left: the next resume without a signal drops it.
 * Throws UnexpectedStop when it stops for another signal or dies.
 */
void run_until_signal(Pid tid, int signal);

/** PTRACE_SINGLESTEP: one instruction, or none when a signal is about to be delivered: returns which stop it was. */
WaitStatus step(Pid tid);

}  // namespace thaw
