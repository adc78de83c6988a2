// What only TCP's repair mode tells of a connection.
#pragma once

#include "base/types.hpp"

namespace thaw {

struct TcpState {
  /** Of the byte that would be written, and received, next; a FIN that was sent or received counts. */
  uint32_t send_sequence;
  uint32_t receive_sequence;
  /** The clock of its timestamps, as TCP_TIMESTAMP sets it. */
  uint32_t timestamp;
  /** The largest segment that was agreed on. */
  uint32_t largest_segment;
  /** struct tcp_repair_window. */
  Bytes window;
  /** What the peer has not acknowledged, sent or not. */
  Bytes sent;
  /** What was not read. */
  Bytes received;
};

/**
 * Reads the state of a connected socket that nobody uses meanwhile, and leaves it as it was. Repair mode is switched on and off by a process of its own: it
 * is not interrupted when ours dies. What comes in meanwhile is read whole or not at all. Throws SysError; EPERM without CAP_NET_ADMIN over the socket's network namespace.
 */
TcpState read_tcp_state(int fd);

}  // namespace thaw
