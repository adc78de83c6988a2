/** Sockets that belong to a sandbox's network. */
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../native/index.js'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SOL_SOCKET = 1
const SO_ERROR = 4
const POLLOUT = 4

/** A full accept queue answers late. After this long nobody will. */
const CONNECT_TIMEOUT_MS = 10_000

/** struct sockaddr_in: 127.0.0.1. */
function loopback4(port: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(16))
  address.setUint16(0, AF_INET, true)
  address.setUint16(2, port)
  address.setUint32(4, 0x7f000001)
  return new Uint8Array(address.buffer)
}

/** struct sockaddr_in6: ::1. */
function loopback6(port: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(28))
  address.setUint16(0, AF_INET6, true)
  address.setUint16(2, port)
  address.setUint8(23, 1)
  return new Uint8Array(address.buffer)
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

function connectError(errno: number, port: number): Error {
  const code = native.errnoNames[errno] ?? `errno ${errno}`
  return Object.assign(new Error(`connect to port ${port} in the sandbox: ${code}`), { code, errno, syscall: 'connect', port })
}

/** Over loopback the answer is there when connect returns, unless the listener's queue is full. */
async function finishConnect(fd: number, port: number): Promise<void> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS
  for (let pauseMs = 1; native.poll(fd, POLLOUT, 0) === 0; pauseMs = Math.min(pauseMs * 2, 50)) {
    if (performance.now() > deadline) throw connectError(110, port)
    await sleep(pauseMs)
  }
  const errno = Buffer.from(native.getsockopt(fd, SOL_SOCKET, SO_ERROR, 4)).readInt32LE()
  if (errno !== 0) throw connectError(errno, port)
}

export class SandboxNetwork {
  readonly #initPid: number
  readonly #isOwn: boolean
  #namespaceFd: number | undefined

  /** @param isOwn whether the sandbox has a network namespace of its own */
  constructor(initPid: number, isOwn: boolean) {
    this.#initPid = initPid
    this.#isOwn = isOwn
  }

  socket(domain: number, type: number, protocol: number): number {
    if (!this.#isOwn) return native.socket(domain, type, protocol)
    this.#namespaceFd ??= openSync(`/proc/${this.#initPid}/ns/net`, 'r')
    return native.socketInNamespace(this.#namespaceFd, domain, type, protocol)
  }

  /** IPv4 first; IPv6 where nobody listens there. Non-blocking, close-on-exec, the caller's. */
  async connect(port: number): Promise<number> {
    try {
      return await this.#connectTo(AF_INET, loopback4(port), port)
    } catch (error) {
      if (codeOf(error) !== 'ECONNREFUSED') throw error
      return await this.#connectTo(AF_INET6, loopback6(port), port).catch(() => {
        throw error
      })
    }
  }

  /** An open descriptor keeps the namespace, and every port in it, alive. */
  close(): void {
    if (this.#namespaceFd !== undefined) closeSync(this.#namespaceFd)
    this.#namespaceFd = undefined
  }

  async #connectTo(domain: number, address: Uint8Array, port: number): Promise<number> {
    const fd = this.socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0)
    try {
      this.#beginConnect(fd, address)
      await finishConnect(fd, port)
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  #beginConnect(fd: number, address: Uint8Array): void {
    try {
      native.connectSocket(fd, address)
    } catch (error) {
      if (codeOf(error) !== 'EINPROGRESS') throw error
    }
  }
}
