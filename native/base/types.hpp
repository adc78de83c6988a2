// Small types that say what a number is, where the C types do not.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace thaw {

using Bytes = std::vector<uint8_t>;
/** Bytes that the caller keeps alive during the call. */
using ByteView = std::span<const uint8_t>;

/** One task, never "all" or "my group": the binding lets only positive numbers through. */
struct Pid {
  pid_t value;
};

/** A count of bytes; a plain number in JavaScript, where uint64_t is a bigint. */
struct ByteCount {
  size_t value;
};

/** An integer of up to 53 bits; a plain number in JavaScript, where int64_t is a bigint. */
struct Integer {
  int64_t value;
};

}  // namespace thaw
