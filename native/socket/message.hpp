// Messages that carry descriptors (SCM_RIGHTS).
#pragma once

#include <sys/socket.h>

#include <functional>
#include <optional>
#include <vector>

#include "base/types.hpp"
#include "base/unique_fd.hpp"

namespace thaw {

/** Sends all of `bytes`, the descriptors with the first of them; the caller keeps its own. */
void send_message(int socket, ByteView bytes, const std::vector<int>& descriptors, int flags);

struct Message {
  Bytes bytes;
  std::vector<UniqueFd> descriptors;
  Bytes sender;       // struct sockaddr; empty where the message has none
  Bytes credentials;  // struct ucred; empty where the socket does not ask for them
};

/**
 * One message, or what a stream has. Blocks unless `flags` has MSG_DONTWAIT; then empty at EAGAIN. Throws EMSGSIZE where bytes or descriptors did not fit:
 * what was cut off is lost.
 */
std::optional<Message> receive_message(int socket, ByteCount max_bytes, uint32_t max_descriptors, int flags);

/** The same, by whatever fills in the header as recvmsg(2) with MSG_CMSG_CLOEXEC does, errno included. */
std::optional<Message> receive_by(const std::function<ssize_t(msghdr&)>& receive, ByteCount max_bytes, uint32_t max_descriptors);

}  // namespace thaw
