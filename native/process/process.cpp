#include "process/process.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <csignal>
#include <ctime>

namespace thaw {

UniqueFd pidfd_open(Pid pid) {
  return UniqueFd(static_cast<int>(check_pid(syscall(SYS_pidfd_open, pid.value, 0), "pidfd_open", pid)));
}

UniqueFd pidfd_getfd(int pidfd, int fd) { return own(syscall(SYS_pidfd_getfd, pidfd, fd, 0), "pidfd_getfd"); }

void pidfd_send_signal(int pidfd, int signal) {
  check(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0), "pidfd_send_signal");
}

void kill_process(Pid pid, int signal) { check_pid(kill(pid.value, signal), "kill", pid); }

int kcmp(Pid a, Pid b, int type, Integer index_a, Integer index_b) {
  long order = syscall(SYS_kcmp, a.value, b.value, type, index_a.value, index_b.value);
  return static_cast<int>(check_pid(order, "kcmp", a));
}

/** The mask in whole words, as wide as this kernel's; libc's cpu_set_t would end at 1024 processors. */
static Bytes read_affinity(Pid tid) {
  for (Bytes mask(128);; mask.resize(mask.size() * 2)) {
    long length = syscall(SYS_sched_getaffinity, tid.value, mask.size(), mask.data());
    if (length < 0 && errno == EINVAL && mask.size() < 65536) continue;
    mask.resize(static_cast<size_t>(check_pid(length, "sched_getaffinity", tid)));
    return mask;
  }
}

TaskReadings read_task(Pid tid) {
  constexpr int ioprio_who_process = 1;  // linux/ioprio.h is not in every distribution
  const int policy = check_pid(sched_getscheduler(tid.value), "sched_getscheduler", tid);
  sched_param parameters{};
  check_pid(sched_getparam(tid.value, &parameters), "sched_getparam", tid);
  // -1 is a nice value like any other.
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(tid.value));
  if (errno != 0) throw SysError{errno, "getpriority", {}, tid.value};
  const long io_priority = check_pid(syscall(SYS_ioprio_get, ioprio_who_process, tid.value), "ioprio_get", tid);
  return {policy, parameters.sched_priority, nice, static_cast<int>(io_priority), read_affinity(tid)};
}

RobustList get_robust_list(Pid tid) {
  RobustList list{};
  check_pid(syscall(SYS_get_robust_list, tid.value, &list.head, &list.length), "get_robust_list", tid);
  return list;
}

int64_t clock_nanoseconds(int clock) {
  timespec time{};
  check(clock_gettime(clock, &time), "clock_gettime");
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace thaw
