// Looks at what is queued in sockets that are somebody else's. What a look needs set is set by a process of its own, which sets it back even when ours dies.
#pragma once

#include <optional>

#include "base/types.hpp"
#include "socket/message.hpp"

namespace thaw {

/** Where a look begins: bytes from the start of the queue (SO_PEEK_OFF). Empty: at its start, for sockets that have no such offset. */
using PeekOffset = std::optional<int>;

/**
 * The message at `offset`, or what a stream has from there on: as receive_message with MSG_PEEK and MSG_DONTWAIT. With `credentials` also those that it came
 * with (SO_PASSCRED), and a look at a stream ends where they change.
 */
std::optional<Message> peek_message(int socket, PeekOffset offset, ByteCount max_bytes, uint32_t max_descriptors, bool credentials);

/**
 * Of the pieces of a unix stream that make up `length` bytes at `offset`, with credentials alike: how many of the bytes come before the last piece.
 */
Integer bytes_before_last_piece(int socket, int offset, ByteCount length);

}  // namespace thaw
