#include "process/apart.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys_error.hpp"
#include "process/clone.hpp"

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
  // Without a signal at its end: nobody here waits for children in general.
  const int pid = clone_into_our_memory(run_child, &call, CLONE_FILES);
  uninterrupted([&] { return waitpid(pid, nullptr, __WALL); });
}

}  // namespace thaw
