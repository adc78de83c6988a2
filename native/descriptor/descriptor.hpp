// Calls on descriptors, of our own and of those fetched from a task.
#pragma once

#include <optional>
#include <utility>

#include "base/types.hpp"
#include "base/unique_fd.hpp"

namespace thaw {

/** The descriptor is close-on-exec. */
UniqueFd open_path(const std::string& path, int flags, mode_t mode);

int fcntl_integer(int fd, int command, Integer argument);
/** `argument` is what the command reads and writes (struct flock, struct f_owner_ex), changed in place. */
int fcntl_buffer(int fd, int command, std::span<uint8_t> argument);
int ioctl_buffer(int fd, uint32_t request, std::span<uint8_t> argument);

struct FdPair {
  UniqueFd first;
  UniqueFd second;
};

/** The reading end first. */
FdPair make_pipe(int flags);
/** The bytes duplicated; both stay as they were for the reader of `from`. */
Integer tee_pipe(int from, int to, ByteCount length, uint32_t flags);
/** One read(2): what is there, nothing at the end of file, empty at EAGAIN. */
std::optional<Bytes> read_once(int fd, ByteCount length);
/** The events of one descriptor (POLLIN, POLLHUP …), 0 when `timeout_ms` have passed; -1 waits for ever. */
int poll_one(int fd, int events, int timeout_ms);
UniqueFd make_eventfd(uint32_t initial, int flags);

}  // namespace thaw
