// What waitpid reports, taken apart.
#pragma once

#include <string>
#include <variant>

#include "base/types.hpp"

namespace thaw {

/** SIGTRAP with this bit is a syscall stop (PTRACE_O_TRACESYSGOOD). */
constexpr int syscall_stop_bit = 0x80;

struct Stopped {
  int signal;
  int event;  // PTRACE_EVENT_*, 0 if none
};
struct Exited {
  int code;
};
struct Killed {
  int signal;
};
using WaitStatus = std::variant<Stopped, Exited, Killed>;

WaitStatus parse_wait_status(int status);
bool is_syscall_stop(const WaitStatus& status);
/** "stopped by SIGSTOP", "killed by SIGKILL", "exited with 1" */
std::string describe(const WaitStatus& status);

/** A traced task that reported something else than what it had been sent for. */
struct UnexpectedStop {
  Pid tid;
  std::string expected;  // "the exit stop of a system call"
  WaitStatus status;

  std::string message() const;
};

}  // namespace thaw
