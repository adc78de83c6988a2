// System calls that are not worth a function each, since only one caller makes them.
#pragma once

#include <string>
#include <vector>

#include "base/types.hpp"

namespace thaw {

/** Any system call by name; addresses are passed as integers. At most six arguments. Never repeated when a signal interrupts it. */
int64_t raw_call(const std::string& name, const std::vector<int64_t>& arguments);
/** The same, by a thread that entered a namespace first; the caller stays where it is. */
int64_t raw_call_in_namespace(int namespace_fd, const std::string& name, const std::vector<int64_t>& arguments);

}  // namespace thaw
