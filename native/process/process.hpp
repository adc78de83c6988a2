// Processes by number and by pidfd, and what can be read of them from outside.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"

namespace thaw {

UniqueFd pidfd_open(Pid pid);
/** A duplicate of descriptor `fd` of another process. Since Linux 5.6. */
UniqueFd pidfd_getfd(int pidfd, int fd);
void pidfd_send_signal(int pidfd, int signal);
void kill_process(Pid pid, int signal);

/** kcmp(2): 0 equal, 1 less, 2 greater, 3 unequal without order. */
int kcmp(Pid a, Pid b, int type, Integer index_a, Integer index_b);

struct TaskReadings {
  int policy;  // with SCHED_RESET_ON_FORK
  int priority;
  int nice;
  int io_priority;
  Bytes affinity;
};
TaskReadings read_task(Pid tid);

struct RobustList {
  uint64_t head;
  uint64_t length;
};
RobustList get_robust_list(Pid tid);

/** Nanoseconds. */
int64_t clock_nanoseconds(int clock);

}  // namespace thaw
