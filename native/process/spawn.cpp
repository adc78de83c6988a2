#include "process/spawn.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "process/clone.hpp"
#include "trace/attach.hpp"

namespace thaw {

namespace {

/** What the child finds in the memory it shares with us until it has executed the program. */
struct Plan {
  const char* file;
  char* const* argv;
  const std::vector<int>& descriptors;
  std::vector<int>& moved;  // scratch: the child must not allocate
  int err = 0;
  const char* syscall = nullptr;
};

}  // namespace

static int fail(Plan& plan, const char* syscall) {
  plan.err = errno;
  plan.syscall = syscall;
  return 127;
}

/** First all out of the way, then each to its number: a target number may be another one's source. */
static const char* place_descriptors(Plan& plan) {
  const int count = static_cast<int>(plan.descriptors.size());
  for (size_t i = 0; i < plan.descriptors.size(); i++) {
    plan.moved[i] = fcntl(plan.descriptors[i], F_DUPFD_CLOEXEC, count);
    if (plan.moved[i] < 0) return "fcntl";
  }
  for (int i = 0; i < count; i++) {
    if (dup2(plan.moved[static_cast<size_t>(i)], i) < 0) return "dup2";
  }
  constexpr unsigned close_range_cloexec = 4;  // Linux 5.11
  if (syscall(SYS_close_range, count, ~0U, close_range_cloexec) < 0) return "close_range";
  return nullptr;
}

static void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  // Ignored signals stay ignored over execve. SIGKILL, SIGSTOP and libc's own two refuse, which is right.
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

static int run_child(void* argument) {
  Plan& plan = *static_cast<Plan*>(argument);
  if (const char* refused = place_descriptors(plan)) return fail(plan, refused);
  reset_signals();
  execve(plan.file, plan.argv, environ);
  return fail(plan, "execve");
}

Spawned spawn_process(const std::string& file, const std::vector<std::string>& args, const std::vector<int>& descriptors) {
  std::vector<char*> argv{const_cast<char*>(file.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  std::vector<int> moved(descriptors.size());
  Plan plan{file.c_str(), argv.data(), descriptors, moved};

  int pidfd = -1;
  // libuv waits for its own children by pid only, so that the SIGCHLD of this one passes it by.
  const int pid = clone_into_our_memory(run_child, &plan, CLONE_PIDFD | SIGCHLD, &pidfd);
  Spawned spawned{{pid}, UniqueFd(pidfd)};
  if (plan.syscall != nullptr) {
    wait_for_report(spawned.pid);
    throw SysError{plan.err, plan.syscall, file};
  }
  return spawned;
}

std::optional<WaitStatus> reap(Pid pid) { return wait(pid, true); }

}  // namespace thaw
