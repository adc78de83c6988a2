// stat(2) with every field whole.
#pragma once

#include <string>

#include "base/types.hpp"

namespace thaw {

struct FileStatus {
  uint64_t device;
  uint64_t inode;
  uint32_t mode;
  uint64_t rdev;
  Integer links;
  uint64_t size_bytes;
  uint32_t uid;
  uint32_t gid;
};

FileStatus stat_path(const std::string& path, bool follow);
FileStatus stat_fd(int fd);

}  // namespace thaw
