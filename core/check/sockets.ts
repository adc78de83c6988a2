/** Sockets and rings. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { withMemory } from './call.js'
import type { Feature } from './feature.js'

const AF_INET = 2
const SOCK_STREAM = 1
const IPPROTO_TCP = 6
const TCP_REPAIR = 19
const IORING_SETUP_NO_MMAP = 1 << 14
const PARAMS_BYTES = 120
const FLAGS_OFFSET = 8
const SQ_USER_ADDRESS = 72
const CQ_USER_ADDRESS = 112
const PAGE_BYTES = 4096

const ring: Feature = {
  name: 'io_uring in given memory',
  neededFor: 'some processes',
  probe: () =>
    withMemory(2 * PAGE_BYTES, (address) => {
      const params = new Uint8Array(PARAMS_BYTES)
      const view = new DataView(params.buffer)
      view.setUint32(FLAGS_OFFSET, IORING_SETUP_NO_MMAP, true)
      view.setBigUint64(SQ_USER_ADDRESS, address, true)
      view.setBigUint64(CQ_USER_ADDRESS, address + BigInt(PAGE_BYTES), true)
      closeSync(Number(native.syscall('io_uring_setup', [4, params])))
    }),
  reasons: {
    ENOSYS: 'the kernel has no io_uring, or a seccomp profile forbids it; processes cannot have rings here',
    EPERM: 'kernel.io_uring_disabled is set; processes cannot have rings here',
    EINVAL: 'it needs Linux 6.5',
  },
}

const tcpRepair: Feature = {
  name: 'TCP connections (TCP_REPAIR)',
  neededFor: 'some processes',
  probe() {
    const socket = native.socket(AF_INET, SOCK_STREAM, 0)
    try {
      native.setsockopt(socket, IPPROTO_TCP, TCP_REPAIR, new Uint8Array(Int32Array.of(1).buffer))
    } finally {
      closeSync(socket)
    }
  },
  reasons: { EPERM: "it needs CAP_NET_ADMIN, which a sandbox's own network gives" },
}

export const socketFeatures: readonly Feature[] = [ring, tcpRepair]
