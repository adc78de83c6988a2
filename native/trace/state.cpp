#include "trace/state.hpp"

#include <cpuid.h>
#include <elf.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <csignal>

#include "trace/request.hpp"

namespace thaw {

static_assert(sizeof(Registers) == sizeof(user_regs_struct));
static_assert(sizeof(siginfo_t) == 128);

/** The size of the kernel's sigset_t; libc's is larger. */
constexpr uint64_t kernel_sigset_bytes = 8;

Registers get_registers(Pid tid) {
  Registers registers;
  ptrace_request(PTRACE_GETREGS, "GETREGS", tid, 0, registers.data());
  return registers;
}

void set_registers(Pid tid, const Registers& registers) {
  ptrace_request(PTRACE_SETREGS, "SETREGS", tid, 0, registers.data());
}

Bytes get_extended_state(Pid tid) {
  Bytes state(4096);
  for (;;) {
    iovec area{state.data(), state.size()};
    ptrace_request(PTRACE_GETREGSET, "GETREGSET", tid, NT_X86_XSTATE, &area);
    // The kernel fills what fits and does not say that there was more. AMX tiles alone take 8 KiB.
    if (area.iov_len < state.size()) {
      state.resize(area.iov_len);
      return state;
    }
    state.resize(state.size() * 2);
  }
}

uint32_t tile_data_offset() {
  uint32_t size = 0, offset = 0, flags = 0, unused = 0;
  constexpr unsigned state_leaf = 0xd, tile_data = 18;
  if (__get_cpuid_count(state_leaf, tile_data, &size, &offset, &flags, &unused) == 0 || size == 0) return 0;
  return offset;
}

void set_extended_state(Pid tid, ByteView state) {
  iovec area{const_cast<uint8_t*>(state.data()), state.size()};
  ptrace_request(PTRACE_SETREGSET, "SETREGSET", tid, NT_X86_XSTATE, &area);
}

uint64_t get_signal_mask(Pid tid) {
  uint64_t mask = 0;
  ptrace_request(PTRACE_GETSIGMASK, "GETSIGMASK", tid, kernel_sigset_bytes, &mask);
  return mask;
}

void set_signal_mask(Pid tid, uint64_t mask) {
  ptrace_request(PTRACE_SETSIGMASK, "SETSIGMASK", tid, kernel_sigset_bytes, &mask);
}

std::optional<Bytes> get_signal_info(Pid tid) {
  Bytes info(sizeof(siginfo_t));
  try {
    ptrace_request(PTRACE_GETSIGINFO, "GETSIGINFO", tid, 0, info.data());
  } catch (const SysError& error) {
    if (error.err == EINVAL) return std::nullopt;
    throw;
  }
  return info;
}

std::vector<Bytes> peek_signals(Pid tid, SignalQueue queue) {
  constexpr size_t batch = 32;
  const uint32_t flags = queue == SignalQueue::process ? PTRACE_PEEKSIGINFO_SHARED : 0;
  std::vector<Bytes> signals;
  for (;;) {
    siginfo_t infos[batch];
    const __ptrace_peeksiginfo_args range{signals.size(), flags, batch};
    long count = ptrace_request(PTRACE_PEEKSIGINFO, "PEEKSIGINFO", tid, reinterpret_cast<uint64_t>(&range), infos);
    for (long i = 0; i < count; i++) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(&infos[i]);
      signals.emplace_back(bytes, bytes + sizeof infos[i]);
    }
    // Not at the first short batch: a signal to the tracer cuts one short.
    if (count == 0) return signals;
  }
}

RseqConfiguration get_rseq(Pid tid) {
  __ptrace_rseq_configuration rseq{};
  ptrace_request(PTRACE_GET_RSEQ_CONFIGURATION, "GET_RSEQ_CONFIGURATION", tid, sizeof rseq, &rseq);
  return {rseq.rseq_abi_pointer, rseq.rseq_abi_size, rseq.signature, rseq.flags};
}

}  // namespace thaw
