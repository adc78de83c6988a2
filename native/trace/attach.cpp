#include "trace/attach.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>

#include "trace/reaper.hpp"
#include "trace/request.hpp"

namespace thaw {

void seize(Pid tid) { ptrace_signal(PTRACE_SEIZE, "SEIZE", tid, PTRACE_O_TRACESYSGOOD); }

void seize_another(Pid process, Pid tid) {
  const Reaper reaper(process);
  seize(tid);
}

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

static bool has_ended(Pid tid) {
  std::ifstream file("/proc/" + std::to_string(tid.value) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  // The name, in parentheses, may hold anything.
  const size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos || stat[name_end + 2] == 'Z' || stat[name_end + 2] == 'X';
}

/** tgkill knows a leader by its two ids being one; each task of a process is a folder, and so a link, beside the two that a folder has. */
static bool leads_others(Pid tid) {
  struct stat tasks {};
  return syscall(SYS_tgkill, tid.value, tid.value, 0) == 0 && stat(("/proc/" + std::to_string(tid.value) + "/task").c_str(), &tasks) == 0 &&
         tasks.st_nlink > 3;
}

WaitStatus wait_for_report(Pid tid) {
  if (!leads_others(tid)) return wait(tid, false).value();
  for (;;) {
    if (const auto status = wait(tid, true)) return *status;
    // The kernel withholds the end of a leader until all threads of its group are reaped, and those that we trace only we can reap: so not for this
    // one alone, but until any has something to tell, which is left there to be told.
    siginfo_t told{};
    uninterrupted([&] { return waitid(P_ALL, 0, &told, WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD); });
    if (told.si_pid == tid.value) continue;
    if (has_ended(tid)) {
      if (const auto status = wait(tid, true)) return *status;
      throw SysError{ESRCH, "ptrace", "", tid.value};
    }
    // What the other one has to tell stays.
    constexpr useconds_t pause_us = 50;
    usleep(pause_us);
  }
}

}  // namespace thaw
