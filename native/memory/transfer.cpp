#include "memory/transfer.hpp"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace thaw {

/** The kernel moves at most this much per call (MAX_RW_COUNT), and silently. */
constexpr uint64_t max_per_call = 0x7ffff000;

Bytes read_at(int fd, uint64_t offset, ByteCount length) {
  Bytes bytes(length.value);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = uninterrupted(
        [&] { return pread64(fd, bytes.data() + done, bytes.size() - done, static_cast<off64_t>(offset + done)); });
    if (check(count, "pread64") == 0) throw SysError{EIO, "pread64"};
    done += static_cast<size_t>(count);
  }
  return bytes;
}

void write_at(int fd, uint64_t offset, ByteView bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = uninterrupted(
        [&] { return pwrite64(fd, bytes.data() + done, bytes.size() - done, static_cast<off64_t>(offset + done)); });
    if (check(count, "pwrite64") == 0) throw SysError{EIO, "pwrite64"};
    done += static_cast<size_t>(count);
  }
}

UniqueFd memfd_create(const std::string& name, uint32_t flags) {
  return own(::memfd_create(name.c_str(), flags | MFD_CLOEXEC), "memfd_create");
}

namespace {

/** sendfile(2) writes at the position of its target, which is put back afterwards. */
class PositionedAt {
 public:
  PositionedAt(int fd, uint64_t offset) : fd_(fd), before_(check(lseek64(fd, 0, SEEK_CUR), "lseek")) {
    check(lseek64(fd, static_cast<off64_t>(offset), SEEK_SET), "lseek");
  }
  PositionedAt(const PositionedAt&) = delete;
  PositionedAt& operator=(const PositionedAt&) = delete;
  ~PositionedAt() { lseek64(fd_, before_, SEEK_SET); }

 private:
  int fd_;
  off64_t before_;
};

}  // namespace

static void send_range(int from, off64_t source, int to, uint64_t to_offset, uint64_t length) {
  const PositionedAt position(to, to_offset);
  while (length > 0) {
    ssize_t count = uninterrupted([&] { return sendfile64(to, from, &source, std::min(length, max_per_call)); });
    if (check(count, "sendfile") == 0) throw SysError{EIO, "sendfile"};
    length -= static_cast<uint64_t>(count);
  }
}

/** Errors of copy_file_range that mean "not between these two": across kinds of file systems, and some kinds not at all. */
static bool is_unsupported_copy(int err) {
  return err == EXDEV || err == EINVAL || err == EOPNOTSUPP || err == ENOSYS || err == EPERM;
}

void copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length) {
  off64_t source = static_cast<off64_t>(from_offset);
  off64_t target = static_cast<off64_t>(to_offset);
  while (length > 0) {
    ssize_t count = uninterrupted(
        [&] { return copy_file_range(from, &source, to, &target, std::min(length, max_per_call), 0); });
    if (count < 0 && is_unsupported_copy(errno)) break;
    // Nothing copied may mean the end, or a file system (proc, for one) that cannot and does not say so.
    if (check(count, "copy_file_range") == 0) break;
    length -= static_cast<uint64_t>(count);
  }
  if (length > 0) send_range(from, source, to, static_cast<uint64_t>(target), length);
}

uint64_t map_reserved(int fd, uint64_t length) {
  check(fallocate(fd, 0, 0, static_cast<off_t>(length)), "fallocate");
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (address == MAP_FAILED) throw SysError{errno, "mmap"};
  return reinterpret_cast<uint64_t>(address);
}

void unmap_reserved(uint64_t address, uint64_t length) {
  check(munmap(reinterpret_cast<void*>(address), length), "munmap");
}

}  // namespace thaw
