#include "descriptor/file_status.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/sys_error.hpp"

namespace thaw {

static FileStatus from_stat(const struct stat& status) {
  return {
      .device = status.st_dev,
      .inode = status.st_ino,
      .mode = status.st_mode,
      .rdev = status.st_rdev,
      .links = {static_cast<int64_t>(status.st_nlink)},
      .size_bytes = static_cast<uint64_t>(status.st_size),
      .uid = status.st_uid,
      .gid = status.st_gid,
  };
}

FileStatus stat_path(const std::string& path, bool follow) {
  struct stat status;
  if (fstatat(AT_FDCWD, path.c_str(), &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) throw SysError{errno, follow ? "stat" : "lstat", path};
  return from_stat(status);
}

FileStatus stat_fd(int fd) {
  struct stat status;
  check(fstat(fd, &status), "fstat");
  return from_stat(status);
}

}  // namespace thaw
