/** Options that sockets have (socket(7), ip(7), ipv6(7), tcp(7), udp(7)), in the order in which they are set. */

export interface OptionEntry {
  readonly level: number
  readonly option: number
  readonly bytes: number
}

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const AF_PACKET = 17
export const IPPROTO_IP = 0
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_IPV6 = 41
const IPPROTO_ICMPV6 = 58
export const IPPROTO_RAW = 255
export const IPPROTO_MPTCP = 262
export const SOL_SOCKET = 1
export const SOL_PACKET = 263

export const SOCK_RAW = 3

export const IP_OPTIONS = 4

export const SO_REUSEADDR = 2
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_LINGER = 13
export const SO_PASSCRED = 16
export const SO_ATTACH_FILTER = 26
export const SO_PEEK_OFF = 42
export const SO_LOCK_FILTER = 44
export const SO_BUF_LOCK = 72

/** Streams over IP. */
export const isTcpProtocol = (protocol: number): boolean => protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP

export const intOf = (value: Uint8Array): number => new DataView(value.buffer, value.byteOffset).getInt32(0, true)
export const intBytes = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)

const table = (level: number, entries: readonly (readonly [option: number, bytes: number])[]): OptionEntry[] =>
  entries.map(([option, bytes]) => ({ level, option, bytes }))

/** The name of a device needs as much room as names may have, IFNAMSIZ; a congestion control's TCP_CA_NAME_MAX is the same. */
const NAME_BYTES = 16
const INT = 4
/** MAX_IPOPTLEN; those of IPv6 count their eights in a byte. */
const MOST_IP_OPTIONS = 40
const MOST_IPV6_OPTIONS = 2048
const TIMEVAL = 16
/** struct so_timestamping. */
const TIMESTAMPING = 8
/** TCP_FASTOPEN_KEY_MAX keys. */
const FASTOPEN_KEYS = 32

/**
 * debug, reuseaddr, dontroute, broadcast, keepalive, oobinline, no_check, priority, linger, reuseport, passcred, rcvlowat, rcvtimeo, sndtimeo,
 * bindtodevice, timestamp, passsec, timestampns, mark, timestamping, rxq_ovfl, nofcs, lock_filter, select_err_queue, busy_poll,
 * max_pacing_rate, incoming_cpu, zerocopy, txtime, prefer_busy_poll, reserve_mem, txrehash, rcvmark, passpidfd, rcvpriority, passrights,
 * wifi_status; timestamp, timestampns and timestamping of the other form of time (y2038), which is the last one's that was set; then buffer
 * sizes, their locks, and the peek offset.
 */
const socketOptions = table(SOL_SOCKET, [
  [1, INT], [SO_REUSEADDR, INT], [5, INT], [6, INT], [9, INT], [10, INT], [11, INT], [12, INT], [SO_LINGER, 8], [15, INT], [SO_PASSCRED, INT], [18, INT],
  [20, TIMEVAL], [21, TIMEVAL], [25, NAME_BYTES], [29, INT], [34, INT], [35, INT], [36, INT], [37, TIMESTAMPING], [40, INT], [43, INT], [SO_LOCK_FILTER, INT], [45, INT],
  [46, INT], [47, 8], [49, INT], [60, INT], [61, 8], [69, INT], [73, INT], [74, INT], [75, INT], [76, INT], [82, INT], [83, INT],
  [41, INT], [63, INT], [64, INT], [65, TIMESTAMPING],
  [SO_SNDBUF, INT], [SO_RCVBUF, INT], [SO_BUF_LOCK, INT], [SO_PEEK_OFF, INT],
]) // prettier-ignore

/**
 * options, tos, ttl, recvopts, retopts, pktinfo, mtu_discover, recverr, recvttl, recvtos, freebind, passsec, transparent, recvorigdstaddr,
 * minttl, nodefrag, checksum, bind_address_no_port, recvfragsize, recverr_rfc4884, multicast_ttl, multicast_loop, multicast_all, unicast_if,
 * local_port_range
 */
const ipOptions = table(IPPROTO_IP, [
  [IP_OPTIONS, MOST_IP_OPTIONS], [1, INT], [2, INT], [6, INT], [7, INT], [8, INT], [10, INT], [11, INT], [12, INT], [13, INT], [15, INT], [18, INT], [19, INT], [20, INT], [21, INT],
  [22, INT], [23, INT], [24, INT], [25, INT], [26, INT], [33, INT], [34, INT], [49, INT], [50, INT], [51, INT],
]) // prettier-ignore

/**
 * v6only first, since it decides what a name means; then unicast_hops, multicast_hops, multicast_loop, mtu_discover, recverr,
 * flowinfo_send, recvpktinfo, recvhoplimit, recvrthdr, recvhopopts, recvdstopts, recvtclass, tclass, autoflowlabel, addr_preferences,
 * minhopcount, recvorigdstaddr, transparent, unicast_if, recvfragsize, freebind, dontfrag; pktinfo, hopopts, dstopts, rthdr and hoplimit as of RFC
 * 2292; flowinfo, multicast_all, router_alert_isolate, recverr_rfc4884, recvpathmtu; hopopts, rthdrdstopts, rthdr, dstopts
 */
const ipv6Options = table(IPPROTO_IPV6, [
  [26, INT], [16, INT], [18, INT], [19, INT], [23, INT], [25, INT], [33, INT], [49, INT], [51, INT], [56, INT], [53, INT], [58, INT], [66, INT], [67, INT],
  [70, INT], [72, INT], [73, INT], [74, INT], [75, INT], [76, INT], [77, INT], [78, INT], [62, INT],
  [2, INT], [3, INT], [4, INT], [5, INT], [8, INT], [11, INT], [29, INT], [30, INT], [31, INT], [60, INT],
  [54, MOST_IPV6_OPTIONS], [55, MOST_IPV6_OPTIONS], [57, MOST_IPV6_OPTIONS], [59, MOST_IPV6_OPTIONS],
]) // prettier-ignore

/**
 * nodelay, maxseg, cork, keepidle, keepintvl, keepcnt, syncnt, linger2, defer_accept, window_clamp, congestion, thin_linear_timeouts,
 * user_timeout, fastopen, save_syn, fastopen_connect, fastopen_no_cookie, notsent_lowat, inq, tx_delay, fastopen_key, rto_max, rto_min, delack_max
 */
const tcpOptions = table(IPPROTO_TCP, [
  [1, INT], [2, INT], [3, INT], [4, INT], [5, INT], [6, INT], [7, INT], [8, INT], [9, INT], [10, INT], [13, NAME_BYTES], [16, INT], [18, INT],
  [23, INT], [27, INT], [30, INT], [34, INT], [25, INT], [36, INT], [37, INT], [33, FASTOPEN_KEYS], [44, INT], [45, INT], [46, INT],
]) // prettier-ignore

/** cork, encap, no_check6_tx, no_check6_rx, segment, gro */
const udpOptions = table(IPPROTO_UDP, [[1, INT], [100, INT], [101, INT], [102, INT], [103, INT], [104, INT]]) // prettier-ignore

/** multicast_if of IPv6, and of IPv4: for connections the kernel has another use for it. */
const multicastOptions = [...table(IPPROTO_IPV6, [[17, INT]]), ...table(IPPROTO_IP, [[32, INT]])]

/** ICMP_FILTER, ICMP6_FILTER; IP_HDRINCL, IP_ROUTER_ALERT, IPV6_HDRINCL, IPV6_CHECKSUM. */
const rawOptions = table(IPPROTO_RAW, [[1, INT], [7, INT]]).concat(
  table(IPPROTO_ICMPV6, [[1, 32]]), table(IPPROTO_IP, [[3, INT], [5, INT]]), table(IPPROTO_IPV6, [[36, INT]]),
) // prettier-ignore

/** auxdata, origdev, version, reserve, loss, vnet_hdr, timestamp, tx_has_off, qdisc_bypass, ignore_outgoing, vnet_hdr_sz (packet(7)). */
const packetOptions = table(SOL_PACKET, [
  [8, INT], [9, INT], [10, INT], [12, INT], [14, INT], [15, INT], [17, INT], [19, INT], [20, INT], [23, INT], [24, INT],
]) // prettier-ignore

export function optionsFor(family: number, type: number, protocol: number): readonly OptionEntry[] {
  if (family === AF_UNIX || family === AF_NETLINK) return socketOptions
  if (family === AF_PACKET) return [...packetOptions, ...socketOptions]
  const ip = family === AF_INET6 ? [...ipv6Options, ...ipOptions] : ipOptions
  if (type === SOCK_RAW) return [...ip, ...rawOptions, ...multicastOptions, ...socketOptions]
  // MPTCP has the lock of a buffer from its size, and lets nobody set it.
  if (protocol === IPPROTO_MPTCP) return [...ip, ...tcpOptions, ...socketOptions.filter(({ option }) => option !== SO_BUF_LOCK)]
  return [...ip, ...(protocol === IPPROTO_TCP ? tcpOptions : [...udpOptions, ...multicastOptions]), ...socketOptions]
}
