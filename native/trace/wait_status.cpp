#include "trace/wait_status.hpp"

#include <sys/wait.h>

#include <csignal>
#include <cstring>

namespace thaw {

static std::string signal_name(int signal) {
  const char* abbreviation = sigabbrev_np(signal & ~syscall_stop_bit);
  return abbreviation != nullptr ? std::string("SIG") + abbreviation : "signal " + std::to_string(signal);
}

WaitStatus parse_wait_status(int status) {
  if (WIFEXITED(status)) return Exited{WEXITSTATUS(status)};
  if (WIFSIGNALED(status)) return Killed{WTERMSIG(status)};
  return Stopped{WSTOPSIG(status), status >> 16};
}

bool is_syscall_stop(const WaitStatus& status) {
  const auto* stopped = std::get_if<Stopped>(&status);
  return stopped != nullptr && stopped->signal == (SIGTRAP | syscall_stop_bit);
}

std::string describe(const WaitStatus& status) {
  if (const auto* exited = std::get_if<Exited>(&status)) return "exited with " + std::to_string(exited->code);
  if (const auto* killed = std::get_if<Killed>(&status)) return "killed by " + signal_name(killed->signal);
  const auto& stopped = std::get<Stopped>(status);
  if (is_syscall_stop(status)) return "stopped at a system call";
  std::string text = "stopped by " + signal_name(stopped.signal);
  if (stopped.event != 0) text += " (ptrace event " + std::to_string(stopped.event) + ")";
  return text;
}

std::string UnexpectedStop::message() const {
  return "expected " + expected + " of " + std::to_string(tid.value) + ", which was " + describe(status);
}

}  // namespace thaw
