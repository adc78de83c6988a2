// Memory of another process that is read while this one does something else.
#pragma once

#include <memory>

#include "base/types.hpp"

namespace thaw {

/** Triples of words: address in the other process, length, offset from where `to` points. */
using MemoryRanges = std::vector<uint64_t>;

class Reading;

/** Begins to read all ranges into this process, by process_vm_readv on a thread beside this one. Memory at `to` must stay until `finish_reading`. */
std::shared_ptr<Reading> start_reading(Pid pid, const MemoryRanges& ranges, uint64_t to);

/** Helps with what is left and waits for the end. EFAULT names memory that the other process may not read itself. */
void finish_reading(const std::shared_ptr<Reading>& reading);

}  // namespace thaw
