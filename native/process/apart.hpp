// Work that is done to its end whatever becomes of this process.
#pragma once

namespace thaw {

/**
 * Calls `work` in a process of its own, which shares memory and descriptors with this one, and waits for its end. Whoever kills this process, or all of
 * its process group, does not stop it half-way. As other threads may be gone by then, with what they had locked, it must not allocate memory.
 * Throws SysError where there can be no such process.
 */
void run_apart(void (*work)(void*), void* argument);

template <class Work>
void run_apart(Work& work) {
  run_apart([](void* argument) { (*static_cast<Work*>(argument))(); }, &work);
}

}  // namespace thaw
