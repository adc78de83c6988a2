// Attaching to a task, stopping it, letting it go, and hearing from it. All of it belongs to one thread: the tracer.
#pragma once

#include <optional>

#include "base/types.hpp"
#include "trace/wait_status.hpp"

namespace thaw {

/** PTRACE_SEIZE with PTRACE_O_TRACESYSGOOD, so that a syscall stop cannot be taken for a SIGTRAP. */
void seize(Pid tid);
/**
 * The same of a thread of a process of which others are seized already. It may be in exec(2), which waits for the end of all of these, and lets nobody
 * attach meanwhile.
 */
void seize_another(Pid process, Pid tid);
void interrupt(Pid tid);
void resume(Pid tid, int signal);
/** PTRACE_LISTEN: the task stays in its group stop, and reports when SIGCONT ends it. */
void listen_stopped(Pid tid);
void detach(Pid tid, int signal);

/** waitpid with __WALL; empty when `nohang` and there is nothing to report. */
std::optional<WaitStatus> wait(Pid tid, bool nohang);
/** The next report of a task that is on its way to one. */
WaitStatus wait_for_report(Pid tid);

}  // namespace thaw
