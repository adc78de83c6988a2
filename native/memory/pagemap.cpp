#include "memory/pagemap.hpp"

#include <sys/ioctl.h>

#include "base/sys_error.hpp"

namespace thaw {

namespace {

// Copies of struct page_region and struct pm_scan_arg, which headers older than Linux 6.7 lack.
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};

struct PagemapScan {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(PagemapScan) == 96);

constexpr unsigned long pagemap_scan = _IOWR('f', 16, PagemapScan);
constexpr size_t regions_per_scan = 2048;

}  // namespace

/** Where one scan was full and the next goes on, a region is cut in two. */
static void append_region(std::vector<uint64_t>& triples, const PageRegion& region) {
  const size_t count = triples.size();
  if (count > 0 && triples[count - 2] == region.start && triples[count - 1] == region.categories) {
    triples[count - 2] = region.end;
    return;
  }
  triples.insert(triples.end(), {region.start, region.end, region.categories});
}

std::vector<uint64_t> scan_pagemap(int fd, uint64_t start, uint64_t end, const PagemapQuery& query) {
  std::vector<uint64_t> triples;
  std::vector<PageRegion> regions(regions_per_scan);
  while (start < end) {
    PagemapScan scan{};
    scan.size = sizeof scan;
    scan.start = start;
    scan.end = end;
    scan.regions = reinterpret_cast<uint64_t>(regions.data());
    scan.region_count = regions.size();
    scan.category_inverted = query.inverted;
    scan.category_mask = query.required;
    scan.category_anyof_mask = query.any_of;
    scan.return_mask = query.returned;
    const int count = check(uninterrupted([&] { return ioctl(fd, pagemap_scan, &scan); }), "ioctl(PAGEMAP_SCAN)");
    for (int i = 0; i < count; i++) append_region(triples, regions[static_cast<size_t>(i)]);
    if (scan.walk_end <= start) throw SysError{EIO, "ioctl(PAGEMAP_SCAN)"};
    start = scan.walk_end;
  }
  return triples;
}

}  // namespace thaw
