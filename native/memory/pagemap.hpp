// Which pages of a process are what: ioctl(PAGEMAP_SCAN), since Linux 6.7.
#pragma once

#include <vector>

#include "base/types.hpp"

namespace thaw {

/** Masks of PAGE_IS_* bits as in struct pm_scan_arg of linux/fs.h. */
struct PagemapQuery {
  uint64_t inverted;
  uint64_t required;
  uint64_t any_of;
  uint64_t returned;
};

/** Triples start, end, categories, ascending; ranges that touch differ in their categories. `fd` is /proc/PID/pagemap. */
std::vector<uint64_t> scan_pagemap(int fd, uint64_t start, uint64_t end, const PagemapQuery& query);

}  // namespace thaw
