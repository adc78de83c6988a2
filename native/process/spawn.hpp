// Starting a helper program without Node's child machinery.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "trace/wait_status.hpp"

namespace thaw {

struct Spawned {
  Pid pid;
  UniqueFd pidfd;
};

/**
 * Runs `file` (a path, not searched for) with our environment. `args` follow the name; `descriptors[i]` becomes descriptor i, all others are
 * closed; signals are unblocked with their default actions. Throws SysError of `execve` where the program could not be started.
 */
Spawned spawn_process(const std::string& file, const std::vector<std::string>& args, const std::vector<int>& descriptors);

/** Takes the exit status of a child; empty while it lives. */
std::optional<WaitStatus> reap(Pid pid);

}  // namespace thaw
