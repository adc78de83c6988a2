#include "trace/attach.hpp"

#include <sys/wait.h>

#include "trace/request.hpp"

namespace thaw {

void seize(Pid tid) { ptrace_signal(PTRACE_SEIZE, "SEIZE", tid, PTRACE_O_TRACESYSGOOD); }

void interrupt(Pid tid) { ptrace_signal(PTRACE_INTERRUPT, "INTERRUPT", tid, 0); }

void resume(Pid tid, int signal) { ptrace_signal(PTRACE_CONT, "CONT", tid, static_cast<unsigned>(signal)); }

void listen_stopped(Pid tid) { ptrace_signal(PTRACE_LISTEN, "LISTEN", tid, 0); }

void detach(Pid tid, int signal) { ptrace_signal(PTRACE_DETACH, "DETACH", tid, static_cast<unsigned>(signal)); }

std::optional<WaitStatus> wait(Pid tid, bool nohang) {
  int status = 0;
  // __WALL: a thread that is not its group's leader is a "clone child", which waitpid passes over without it.
  pid_t reported = uninterrupted([&] { return waitpid(tid.value, &status, __WALL | (nohang ? WNOHANG : 0)); });
  if (check_pid(reported, "waitpid", tid) == 0) return std::nullopt;
  return parse_wait_status(status);
}

WaitStatus wait_for_report(Pid tid) { return wait(tid, false).value(); }

}  // namespace thaw
