#include "descriptor/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace thaw {

UniqueFd open_path(const std::string& path, int flags, mode_t mode) {
  int fd = uninterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) throw SysError{errno, "open", path};
  return UniqueFd(fd);
}

int fcntl_integer(int fd, int command, Integer argument) {
  return check(uninterrupted([&] { return fcntl(fd, command, argument.value); }), "fcntl");
}

/** How much the kernel writes is up to the request; a buffer too short for it must not cost memory that is not its own. */
template <class Call>
static int with_roomy_copy(std::span<uint8_t> argument, Call call) {
  constexpr size_t room = 16 * 1024;
  Bytes copy(std::max(argument.size(), room));
  std::copy(argument.begin(), argument.end(), copy.begin());
  const int result = uninterrupted([&] { return call(copy.data()); });
  std::copy_n(copy.begin(), argument.size(), argument.begin());
  return result;
}

int fcntl_buffer(int fd, int command, std::span<uint8_t> argument) {
  return check(with_roomy_copy(argument, [&](uint8_t* copy) { return fcntl(fd, command, copy); }), "fcntl");
}

int ioctl_buffer(int fd, uint32_t request, std::span<uint8_t> argument) {
  return check(with_roomy_copy(argument, [&](uint8_t* copy) { return ioctl(fd, request, copy); }), "ioctl");
}

FdPair make_pipe(int flags) {
  int fds[2];
  check(pipe2(fds, flags | O_CLOEXEC), "pipe2");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Integer tee_pipe(int from, int to, ByteCount length, uint32_t flags) {
  return {check(uninterrupted([&] { return tee(from, to, length.value, flags); }), "tee")};
}

std::optional<Bytes> read_once(int fd, ByteCount length) {
  Bytes bytes(length.value);
  ssize_t count = uninterrupted([&] { return read(fd, bytes.data(), bytes.size()); });
  if (count < 0 && errno == EAGAIN) return std::nullopt;
  bytes.resize(static_cast<size_t>(check(count, "read")));
  return bytes;
}

int poll_one(int fd, int events, int timeout_ms) {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  pollfd entry{fd, static_cast<short>(events), 0};
  for (int left_ms = timeout_ms;;) {
    int ready = poll(&entry, 1, left_ms);
    if (ready >= 0) return entry.revents;
    if (errno != EINTR) throw SysError{errno, "poll"};
    if (timeout_ms < 0) continue;
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    left_ms = left.count() > 0 ? static_cast<int>(left.count()) : 0;
  }
}

UniqueFd make_eventfd(uint32_t initial, int flags) { return own(eventfd(initial, flags | EFD_CLOEXEC), "eventfd"); }

}  // namespace thaw
