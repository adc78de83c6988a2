// Becoming another program.
#pragma once

#include <string>
#include <vector>

#include "base/sys_error.hpp"

namespace thaw {

/** execve(2) with our environment, standard streams and process id; `args` follow the name. Returns only by throwing. */
[[noreturn]] void execute(const std::string& file, const std::vector<std::string>& args);

}  // namespace thaw
