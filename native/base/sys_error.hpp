// The one error of the engine: a system call that was refused.
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include "base/types.hpp"

namespace thaw {

struct SysError {
  int err;              // positive errno
  std::string syscall;  // "openat", "ptrace(PTRACE_SEIZE)"
  std::string path = {};
  std::optional<pid_t> pid = {};

  /** "ptrace(PTRACE_SEIZE) of 123: EPERM, Operation not permitted" */
  std::string message() const;
};

/** "EPERM"; "E9999" for what has no name. */
std::string errno_name(int err);
bool has_errno_name(int err);

/** Throws for a negative result of a libc call, else returns the result. */
template <class Result>
Result check(Result result, const char* syscall) {
  if (result < 0) throw SysError{errno, syscall};
  return result;
}

template <class Result>
Result check_pid(Result result, const char* syscall, Pid pid) {
  if (result < 0) throw SysError{errno, syscall, {}, pid.value};
  return result;
}

/** Repeats a libc call for as long as signals interrupt it. */
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace thaw
