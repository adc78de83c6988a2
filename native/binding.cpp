// The addon's face: index.ts says what each function does. One line per function; what is optional in JavaScript gets its default here.
#include "binding_call.hpp"
#include "memory/transfer.hpp"
#include "process/execute.hpp"
#include "process/raw_call.hpp"
#include "socket/peek.hpp"
#include "socket/socket.hpp"
#include "trace/attach.hpp"
#include "trace/remote_call.hpp"

namespace thaw::binding {

static void add_tables(Napi::Object exports) {
  const Napi::Env env = exports.Env();
  constexpr int errno_end = 600;
  auto errno_names = Napi::Object::New(env);
  for (int err = 1; err < errno_end; err++) {
    if (has_errno_name(err)) errno_names.Set(static_cast<uint32_t>(err), errno_name(err));
  }
  exports.Set("format", to_js(env, format_constants()));
  exports.Set("syscalls", to_js(env, syscall_numbers()));
  exports.Set("errnoNames", errno_names);
}

static void add_trace(Exports exports) {
  exports.add<seize>("seize");
  exports.add<seize_another>("seizeAnother");
  exports.add<interrupt>("interrupt");
  exports.add<[](Pid tid, std::optional<bool> nohang) { return wait(tid, nohang.value_or(false)); }>("wait");
  exports.add<[](Pid tid, std::optional<int> signal) { resume(tid, signal.value_or(0)); }>("resume");
  exports.add<listen_stopped>("listen");
  exports.add<[](Pid tid, std::optional<int> signal) { detach(tid, signal.value_or(0)); }>("detach");
  exports.add<get_registers>("getRegisters");
  exports.add<set_registers>("setRegisters");
  exports.add<get_extended_state>("getExtendedState");
  exports.add<set_extended_state>("setExtendedState");
  exports.add<tile_data_offset>("tileDataOffset");
  exports.add<get_signal_mask>("getSignalMask");
  exports.add<set_signal_mask>("setSignalMask");
  exports.add<get_signal_info>("getSignalInfo");
  exports.add<peek_signals>("peekSignals");
  exports.add<get_rseq>("getRseq");
  exports.add<call_remote>("callRemote");
  exports.add<run_until_syscall>("runUntilSyscall");
  exports.add<run_until_signal>("runUntilSignal");
  exports.add<step>("step");
}

static void add_memory(Exports exports) {
  exports.add<read_at>("readAt");
  exports.add<write_at>("writeAt");
  exports.add<scan_pagemap>("scanPagemap");
  exports.add<memfd_create>("memfdCreate");
  exports.add<copy_range>("copyRange");
  exports.add<map_reserved>("mapReserved");
  exports.add<unmap_reserved>("unmapReserved");
  exports.add<start_reading>("startReading");
  exports.add<finish_reading>("finishReading");
}

static void add_processes(Exports exports) {
  exports.add<pidfd_open>("pidfdOpen");
  exports.add<pidfd_getfd>("pidfdGetfd");
  exports.add<pidfd_send_signal>("pidfdSendSignal");
  exports.add<kill_process>("kill");
  exports.add<kcmp>("kcmp");
  exports.add<read_task>("readTask");
  exports.add<get_robust_list>("getRobustList");
  exports.add<clock_nanoseconds>("clockGettime");
  exports.add<spawn_process>("spawnProcess");
  exports.add<reap>("reap");
  exports.add<execute>("execute");
  exports.add<raw_call>("syscall");
  exports.add<raw_call_in_namespace>("syscallInNamespace");
}

/** As fs.open has it. */
constexpr mode_t default_mode = 0666;

static void add_descriptors(Exports exports) {
  exports.add<[](const std::string& path, std::optional<bool> follow) { return stat_path(path, follow.value_or(true)); }>("statPath");
  exports.add<stat_fd>("statFd");
  exports.add<[](const std::string& path, int flags, std::optional<mode_t> mode) {
    return open_path(path, flags, mode.value_or(default_mode));
  }>("open");
  exports.add<[](int fd, int command, std::optional<Integer> argument) {
    return fcntl_integer(fd, command, argument.value_or(Integer{0}));
  }>("fcntl");
  exports.add<fcntl_buffer>("fcntlBuffer");
  exports.add<ioctl_buffer>("ioctl");
  exports.add<make_pipe>("pipe");
  exports.add<tee_pipe>("tee");
  exports.add<read_once>("read");
  exports.add<poll_one>("poll");
  exports.add<make_eventfd>("eventfd");
}

static void add_sockets(Exports exports) {
  exports.add<make_socket>("socket");
  exports.add<make_socketpair>("socketpair");
  exports.add<make_socket_in_namespace>("socketInNamespace");
  exports.add<connect_socket>("connectSocket");
  exports.add<bind_socket>("bindSocket");
  exports.add<listen_socket>("listenSocket");
  exports.add<socket_name>("getsockname");
  exports.add<peer_name>("getpeername");
  exports.add<get_socket_option>("getsockopt");
  exports.add<set_socket_option>("setsockopt");
  exports.add<read_tcp_state>("readTcpState");
  exports.add<peek_message>("peekMessage");
  exports.add<bytes_before_last_piece>("bytesBeforeLastPiece");
  exports.add<[](int socket, ByteView bytes, const std::vector<int>& descriptors, std::optional<int> flags) {
    send_message(socket, bytes, descriptors, flags.value_or(0));
  }>("sendMessage");
  exports.add<[](int socket, ByteCount max_bytes, uint32_t max_descriptors, std::optional<int> flags) {
    return receive_message(socket, max_bytes, max_descriptors, flags.value_or(0));
  }>("receiveMessage");
}

static Napi::Object init(Napi::Env, Napi::Object exports) {
  add_tables(exports);
  add_trace(Exports(exports));
  add_memory(Exports(exports));
  add_processes(Exports(exports));
  add_descriptors(Exports(exports));
  add_sockets(Exports(exports));
  return exports;
}

}  // namespace thaw::binding

static Napi::Object init_thaw(Napi::Env env, Napi::Object exports) { return thaw::binding::init(env, exports); }

NODE_API_MODULE(thaw, init_thaw)
