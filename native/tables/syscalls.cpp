#include "tables/tables.hpp"

namespace thaw {

static constexpr NamedNumber numbers[] = {
#include "syscall_names.inc"  // tables/syscall_names.cmake
};

std::span<const NamedNumber> syscall_numbers() { return numbers; }

}  // namespace thaw
