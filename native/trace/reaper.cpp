#include "trace/reaper.hpp"

#include <dirent.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

namespace thaw {

static void reap_threads(Pid process) {
  const std::string path = "/proc/" + std::to_string(process.value) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder.get())) {
    const int tid = std::atoi(entry->d_name);
    siginfo_t told{};
    // Of one that is not ours, or lives, there is nothing to be told.
    if (tid > 0 && tid != process.value) waitid(P_PID, static_cast<id_t>(tid), &told, WEXITED | WNOHANG | __WALL);
  }
}

Reaper::Reaper(Pid process) : thread_([this, process] { run(process); }) {}

Reaper::~Reaper() {
  {
    const std::scoped_lock lock(mutex_);
    is_over_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void Reaper::run(Pid process) {
  constexpr std::chrono::milliseconds pause{20};
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, pause, [this] { return is_over_; })) reap_threads(process);
}

}  // namespace thaw
