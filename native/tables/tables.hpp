// Constants that core needs and that only a compiler knows.
#pragma once

#include <cstdint>
#include <span>

namespace thaw {

struct NamedNumber {
  const char* name;
  uint64_t value;
};

/** THAW_FORMAT_CONSTANTS of restorer/program.h. */
std::span<const NamedNumber> format_constants();
/** System calls of this architecture, names without prefix. */
std::span<const NamedNumber> syscall_numbers();

}  // namespace thaw
