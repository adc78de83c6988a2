#include "socket/socket.hpp"

#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <system_error>
#include <thread>

namespace thaw {

UniqueFd make_socket(int domain, int type, int protocol) {
  return own(socket(domain, type | SOCK_CLOEXEC, protocol), "socket");
}

FdPair make_socketpair(int domain, int type, int protocol) {
  int fds[2];
  check(socketpair(domain, type | SOCK_CLOEXEC, protocol, fds), "socketpair");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd make_socket_in_namespace(int namespace_fd, int domain, int type, int protocol) {
  // A thread of its own, because a namespace that was entered cannot always be left again.
  std::packaged_task<UniqueFd()> task([=] {
    check(setns(namespace_fd, CLONE_NEWNET), "setns");
    return make_socket(domain, type, protocol);
  });
  std::future<UniqueFd> made = task.get_future();
  try {
    std::thread(std::move(task)).join();
  } catch (const std::system_error& error) {
    throw SysError{error.code().value(), "pthread_create"};
  }
  return made.get();
}

static const sockaddr* as_address(ByteView bytes) { return reinterpret_cast<const sockaddr*>(bytes.data()); }

void connect_socket(int fd, ByteView address) {
  // Repeated after a signal, the call waits for the connection that it began before.
  check(uninterrupted([&] { return connect(fd, as_address(address), static_cast<socklen_t>(address.size())); }), "connect");
}

void bind_socket(int fd, ByteView address) {
  check(bind(fd, as_address(address), static_cast<socklen_t>(address.size())), "bind");
}

void listen_socket(int fd, int backlog) { check(listen(fd, backlog), "listen"); }

using NameCall = int (*)(int, sockaddr*, socklen_t*);

static Bytes name_by(NameCall call, const char* syscall, int fd) {
  Bytes name(sizeof(sockaddr_storage));
  socklen_t length = static_cast<socklen_t>(name.size());
  check(call(fd, reinterpret_cast<sockaddr*>(name.data()), &length), syscall);
  name.resize(std::min<size_t>(length, name.size()));
  return name;
}

Bytes socket_name(int fd) { return name_by(getsockname, "getsockname", fd); }

std::optional<Bytes> peer_name(int fd) {
  try {
    return name_by(getpeername, "getpeername", fd);
  } catch (const SysError& error) {
    if (error.err == ENOTCONN) return std::nullopt;
    throw;
  }
}

Bytes get_socket_option(int fd, int level, int option, ByteCount length) {
  Bytes value(length.value);
  socklen_t size = static_cast<socklen_t>(value.size());
  check(getsockopt(fd, level, option, value.data(), &size), "getsockopt");
  value.resize(std::min<size_t>(size, value.size()));
  return value;
}

void set_socket_option(int fd, int level, int option, ByteView value) {
  check(setsockopt(fd, level, option, value.data(), static_cast<socklen_t>(value.size())), "setsockopt");
}

}  // namespace thaw
