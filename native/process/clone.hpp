// Children that run in our memory, as vfork's do.
#pragma once

namespace thaw {

/**
 * clone(2) with CLONE_VM, CLONE_VFORK and `flags`: this thread stands still until the child has executed a program or is gone, whatever the size of this
 * process. The child runs `run` on a stack of its own, with all signals blocked, and ends with what that returns. Throws SysError.
 * @returns its pid; `pidfd` is set with CLONE_PIDFD
 */
int clone_into_our_memory(int (*run)(void*), void* argument, int flags, int* pidfd = nullptr);

}  // namespace thaw
