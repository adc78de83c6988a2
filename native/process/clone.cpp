#include "process/clone.hpp"

#include <sched.h>

#include <csignal>
#include <memory>

#include "base/sys_error.hpp"

namespace thaw {

int clone_into_our_memory(int (*run)(void*), void* argument, int flags, int* pidfd) {
  constexpr size_t stack_bytes = 64 * 1024;
  const auto stack = std::make_unique<char[]>(stack_bytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A handler that ran in the child would run on our memory.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int pid = clone(run, stack.get() + stack_bytes, CLONE_VM | CLONE_VFORK | flags, argument, pidfd);
  const int err = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw SysError{err, "clone"};
  return pid;
}

}  // namespace thaw
