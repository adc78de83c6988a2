#include "process/apart.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "base/sys_error.hpp"

namespace thaw {

namespace {

struct Call {
  void (*work)(void*);
  void* argument;
};

int run_child(void* argument) {
  // What ends our whole process group should not end it half-way.
  setsid();
  const auto* call = static_cast<Call*>(argument);
  call->work(call->argument);
  return 0;
}

}  // namespace

void run_apart(void (*work)(void*), void* argument) {
  Call call{work, argument};
  constexpr size_t stack_bytes = 64 * 1024;
  const auto stack = std::make_unique<char[]>(stack_bytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // As vfork, in our memory, but no thread of ours. Without a signal at its end: nobody here waits for children in general.
  const int pid = clone(run_child, stack.get() + stack_bytes, CLONE_VM | CLONE_VFORK | CLONE_FILES, &call);
  const int err = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw SysError{err, "clone"};
  uninterrupted([&] { return waitpid(pid, nullptr, __WALL); });
}

}  // namespace thaw
