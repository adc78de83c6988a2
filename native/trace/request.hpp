// ptrace(2) through libc's symbol, which the tests interpose.
#pragma once

#include <sys/ptrace.h>

#include "base/sys_error.hpp"

namespace thaw {

/** `name` is the request as errors spell it, without PTRACE_. Unlike libc's, the requests used here return no data in the result. */
inline long ptrace_request(int request, const char* name, Pid tid, uint64_t address, const void* data) {
  long result = ptrace(static_cast<__ptrace_request>(request), tid.value, address, data);
  if (result == -1) throw SysError{errno, std::string("ptrace(PTRACE_") + name + ")", {}, tid.value};
  return result;
}

/** For requests whose data is a signal or a set of options. */
inline void ptrace_signal(int request, const char* name, Pid tid, unsigned long number) {
  ptrace_request(request, name, tid, 0, reinterpret_cast<const void*>(number));
}

}  // namespace thaw
