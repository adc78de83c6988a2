// Threads that were killed by another thread's exec(2), which waits until their tracer has seen their end.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/types.hpp"

namespace thaw {

/**
 * While it lives, and from some milliseconds on, sees the ends of threads of a process in the tracer's place: that one may be waiting in a call which itself
 * waits for the exec. The leader's end the kernel sees to.
 */
class Reaper {
 public:
  explicit Reaper(Pid process);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

 private:
  void run(Pid process);

  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace thaw
