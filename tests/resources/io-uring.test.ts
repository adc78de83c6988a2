import { afterEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const IORING_SETUP_SQPOLL = 0x2
const IORING_SETUP_R_DISABLED = 0x40
const IORING_SETUP_SQE128 = 0x400
const IORING_SETUP_NO_SQARRAY = 0x1_0000
const IORING_OP_TIMEOUT = 11
const IORING_OP_POLL_ADD = 6
const IORING_REGISTER_FILES = 2
const IORING_REGISTER_EVENTFD = 4
const OFFSET_SQES = 0x1000_0000
const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const SQE_BYTES = 64
const ENTRIES = 64

const refusedAs = (code: string): unknown => expect.objectContaining({ code })
const mappings: [bigint, number][] = []

afterEach(() => {
  for (const [address, length] of mappings.splice(0)) native.syscall('munmap', [address, length])
})

class Ring {
  readonly fd: number
  readonly #rings: bigint
  readonly #sqes: bigint
  readonly #tail: number
  readonly #memory: number

  constructor(own: OwnDescriptors, flags = 0, sqeBytes = SQE_BYTES) {
    const params = new Uint8Array(120)
    const view = new DataView(params.buffer)
    view.setUint32(8, flags, true)
    this.fd = own.keep(Number(native.syscall('io_uring_setup', [ENTRIES, params])))
    const cqes = view.getUint32(100, true) + view.getUint32(4, true) * 16
    const array = (flags & IORING_SETUP_NO_SQARRAY) === 0 ? view.getUint32(64, true) + ENTRIES * 4 : 0
    this.#rings = this.#map(Math.max(cqes, array), 0)
    this.#sqes = this.#map(ENTRIES * sqeBytes, OFFSET_SQES)
    this.#tail = view.getUint32(44, true)
    this.#memory = own.keep(native.open('/proc/self/mem', 2))
  }

  #map(length: number, offset: number): bigint {
    const address = native.syscall('mmap', [0, length, PROT_READ_WRITE, MAP_SHARED, this.fd, offset])
    mappings.push([address, length])
    return address
  }

  /** The array of indices is zero: the first entry is submitted. */
  submit(fields: { opcode: number; fd: number; address?: bigint; length?: number; events?: number }): void {
    const sqe = new Uint8Array(SQE_BYTES)
    const view = new DataView(sqe.buffer)
    view.setUint8(0, fields.opcode)
    view.setInt32(4, fields.fd, true)
    view.setBigUint64(16, fields.address ?? 0n, true)
    view.setUint32(24, fields.length ?? 0, true)
    view.setUint32(28, fields.events ?? 0, true)
    native.writeAt(this.#memory, this.#sqes, sqe)
    native.writeAt(this.#memory, this.#rings + BigInt(this.#tail), Uint8Array.of(1, 0, 0, 0))
    native.syscall('io_uring_enter', [this.fd, 1, 0, 0, 0, 0])
  }

  /** Somewhere to put what a request points to. */
  place(bytes: Uint8Array): bigint {
    const address = this.#sqes + BigInt(SQE_BYTES * (ENTRIES - 1))
    native.writeAt(this.#memory, address, bytes)
    return address
  }
}

test('an idle ring is carried, with and without an array of indices', () => {
  using own = new OwnDescriptors()
  const [plain, without] = [new Ring(own), new Ring(own, IORING_SETUP_NO_SQARRAY)]
  using tree = new OwnTree()
  for (const { fd } of [plain, without])
    expect(tree.collect(fd)).toMatchObject({ sqEntries: ENTRIES, cqEntries: 2 * ENTRIES, count: 0, sqArray: true, emptyArray: true })
})

test('requests in flight are refused: those that fdinfo lists, and those that only the counters tell', () => {
  using own = new OwnDescriptors()
  const [polling, timing] = [new Ring(own), new Ring(own)]
  const [reader] = own.keep(native.pipe(0))
  polling.submit({ opcode: IORING_OP_POLL_ADD, fd: reader, events: 1 })
  const hour = new Uint8Array(BigInt64Array.of(3600n, 0n).buffer)
  timing.submit({ opcode: IORING_OP_TIMEOUT, fd: -1, address: timing.place(hour), length: 1 })
  using tree = new OwnTree()
  expect(() => tree.collect(polling.fd)).toThrow(refusedAs('THAW_IO_URING_BUSY'))
  expect(() => tree.collect(timing.fd)).toThrow(refusedAs('THAW_IO_URING_BUSY'))
})

test('what cannot be made again is refused', () => {
  using own = new OwnDescriptors()
  const polled = new Ring(own, IORING_SETUP_SQPOLL)
  const registered = new Ring(own)
  const files = new Uint8Array(Int32Array.of(own.keep(native.open('/dev/null', 0))).buffer)
  native.syscall('io_uring_register', [registered.fd, IORING_REGISTER_FILES, files, 1])
  const notifying = new Ring(own)
  const event = new Uint8Array(Int32Array.of(own.keep(native.eventfd(0, 0))).buffer)
  native.syscall('io_uring_register', [notifying.fd, IORING_REGISTER_EVENTFD, event, 1])
  const disabled = new Ring(own, IORING_SETUP_R_DISABLED)
  const wide = new Ring(own, IORING_SETUP_SQE128, 2 * SQE_BYTES)
  const unmapped = own.keep(Number(native.syscall('io_uring_setup', [ENTRIES, new Uint8Array(120)])))
  using tree = new OwnTree()
  expect(() => tree.collect(polled.fd)).toThrow(refusedAs('THAW_IO_URING_SQPOLL'))
  expect(() => tree.collect(registered.fd)).toThrow(refusedAs('THAW_IO_URING_REGISTERED'))
  expect(() => tree.collect(notifying.fd)).toThrow(refusedAs('THAW_IO_URING_REGISTERED'))
  expect(() => tree.collect(disabled.fd)).toThrow(refusedAs('THAW_IO_URING_DISABLED'))
  expect(() => tree.collect(wide.fd)).toThrow(refusedAs('THAW_IO_URING_MEMORY'))
  expect(() => tree.collect(unmapped)).toThrow(refusedAs('THAW_IO_URING_MEMORY'))
})
