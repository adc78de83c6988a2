// What a stopped task holds that no file under /proc shows: registers, signals, rseq.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/types.hpp"

namespace thaw {

/** struct user_regs_struct as words, in its order. */
using Registers = std::array<uint64_t, 27>;

Registers get_registers(Pid tid);
void set_registers(Pid tid, const Registers& registers);

/** NT_X86_XSTATE, the standard (not compacted) XSAVE format. */
Bytes get_extended_state(Pid tid);
void set_extended_state(Pid tid, ByteView state);
/** Where the state of AMX tiles begins in the standard format; 0 on a CPU without. */
uint32_t tile_data_offset();

/** Bit n-1 stands for signal n. */
uint64_t get_signal_mask(Pid tid);
void set_signal_mask(Pid tid, uint64_t mask);

/** The siginfo_t that came with the stop; empty at a stop that has none. */
std::optional<Bytes> get_signal_info(Pid tid);

enum class SignalQueue { thread, process };
/** Every queued siginfo_t, in the order of the queue, without taking it. */
std::vector<Bytes> peek_signals(Pid tid, SignalQueue queue);

struct RseqConfiguration {
  uint64_t pointer;
  uint32_t size_bytes;
  uint32_t signature;
  uint32_t flags;
};
/** PTRACE_GET_RSEQ_CONFIGURATION, since Linux 5.13. */
RseqConfiguration get_rseq(Pid tid);

}  // namespace thaw
