#include "trace/remote_call.hpp"

#include <sys/user.h>

#include <csignal>
#include <cstddef>

#include "trace/attach.hpp"
#include "trace/request.hpp"

namespace thaw {

constexpr size_t rax_index = offsetof(user_regs_struct, rax) / sizeof(uint64_t);
constexpr size_t orig_rax_index = offsetof(user_regs_struct, orig_rax) / sizeof(uint64_t);

/** Lets the task go by `request` until it reports what is awaited. */
template <class Awaited>
static void run_until(Pid tid, int request, const char* name, Awaited is_awaited, const char* expected) {
  for (int deliver = 0;;) {
    ptrace_signal(request, name, tid, static_cast<unsigned>(deliver));
    const WaitStatus status = wait_for_report(tid);
    if (is_awaited(status)) return;
    // SIGSTOP, which nobody can mask, is delivered, and the stop it begins takes effect once the task is let go: for now it has to go on.
    const Stopped* stopped = std::get_if<Stopped>(&status);
    const bool by_sigstop = stopped != nullptr && stopped->event == 0 && stopped->signal == SIGSTOP;
    const bool in_group_stop = stopped != nullptr && stopped->event == PTRACE_EVENT_STOP;
    if (!by_sigstop && !in_group_stop) throw UnexpectedStop{tid, expected, status};
    deliver = by_sigstop ? SIGSTOP : 0;
  }
}

static void run_to_syscall_stop(Pid tid, const char* expected) {
  run_until(tid, PTRACE_SYSCALL, "SYSCALL", is_syscall_stop, expected);
}

int64_t call_remote(Pid tid, const Registers& registers) {
  set_registers(tid, registers);
  run_to_syscall_stop(tid, "the entry stop of a system call");
  run_to_syscall_stop(tid, "the exit stop of a system call");
  return static_cast<int64_t>(get_registers(tid)[rax_index]);
}

// From the entry stop to the exit stop without making the call: -1 is the number of none.
static void skip_call(Pid tid) {
  Registers registers = get_registers(tid);
  registers[orig_rax_index] = ~uint64_t{0};
  set_registers(tid, registers);
  run_to_syscall_stop(tid, "the exit stop of a skipped call");
}

uint32_t run_until_syscall(Pid tid, Integer number) {
  for (uint32_t finished = 0;;) {
    run_to_syscall_stop(tid, "a system call");
    // Counting stops would not do: whether the first is an entry depends on where the task stood. Since Linux 5.3.
    __ptrace_syscall_info info{};
    ptrace_request(PTRACE_GET_SYSCALL_INFO, "GET_SYSCALL_INFO", tid, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) finished++;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && static_cast<int64_t>(info.entry.nr) == number.value) {
      skip_call(tid);
      return finished;
    }
  }
}

void run_until_signal(Pid tid, int signal) {
  const auto is_delivered = [signal](const WaitStatus& status) {
    const auto* stopped = std::get_if<Stopped>(&status);
    return stopped != nullptr && stopped->event == 0 && stopped->signal == signal;
  };
  run_until(tid, PTRACE_CONT, "CONT", is_delivered, "the delivery of a signal that it sends to itself");
}

WaitStatus step(Pid tid) {
  ptrace_signal(PTRACE_SINGLESTEP, "SINGLESTEP", tid, 0);
  const WaitStatus status = wait_for_report(tid);
  if (!std::holds_alternative<Stopped>(status)) throw UnexpectedStop{tid, "the stop after one instruction", status};
  return status;
}

}  // namespace thaw
