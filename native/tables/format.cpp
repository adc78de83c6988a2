#include "tables/tables.hpp"

// program.h is C, and the header of a freestanding program: it cannot bring <assert.h>.
#define _Static_assert static_assert
#include "program.h"

namespace thaw {

#define NAMED(name, value) {#name, static_cast<uint64_t>(value)},
static constexpr NamedNumber constants[] = {THAW_FORMAT_CONSTANTS(NAMED)};
#undef NAMED

std::span<const NamedNumber> format_constants() { return constants; }

}  // namespace thaw
