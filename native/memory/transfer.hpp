// Bytes in and out of files at 64-bit offsets: /proc/PID/mem, memfds, page files.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"

namespace thaw {

/** All of `length` bytes, or SysError: EIO where the file or the mapping ends before. */
Bytes read_at(int fd, uint64_t offset, ByteCount length);
void write_at(int fd, uint64_t offset, ByteView bytes);

UniqueFd memfd_create(const std::string& name, uint32_t flags);

/** Copies inside the kernel. EIO where the source ends before. Positions of both files stay. */
void copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length);

/** A shared mapping of a file, made large enough and with every page present, so that filling it allocates nothing. Returns its address. */
uint64_t map_reserved(int fd, uint64_t length);
void unmap_reserved(uint64_t address, uint64_t length);

}  // namespace thaw
