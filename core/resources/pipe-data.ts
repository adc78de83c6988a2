/** What stands in a pipe, read without taking it out (tee(2)), with the boundaries of packets (O_DIRECT in pipe(2)). */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { accessOf, endsOf } from './other-end.js'
import type { SeenDescription, SeenTree } from './description.js'
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY } from './open-flags.js'

export interface PipeChunk {
  data: Uint8Array
  /** A packet of its own; else part of a stream. */
  packet: boolean
}

export const F_GETPIPE_SZ = 1032
const F_SETPIPE_SZ = 1031
const DEFAULT_PIPE_BYTES = 65536
/** Two buffers: the last byte of a pipe and one behind it. */
const LEAST_PROBE_BYTES = 8192
const F_SETFL = 4
const FIONREAD = 0x541b
const SPLICE_F_NONBLOCK = 2

export function readPipe(seen: SeenDescription, tree: SeenTree): PipeChunk[] {
  if (bytesIn(seen.duplicate()) === 0) return []
  const ends = endsOf(seen, tree)
  const reader = ends.find((end) => accessOf(end) !== O_WRONLY)
  // Without a reader the data is still there for whoever opens the pipe by name or through /proc.
  const source = reader?.duplicate() ?? native.open(`/proc/${seen.process.pid}/fd/${seen.fd}`, O_RDONLY | O_NONBLOCK)
  try {
    const stream = readStream(source)
    return stream === undefined ? readPackets(source) : [{ data: stream, packet: false }]
  } finally {
    if (reader === undefined) closeSync(source)
  }
}

function bytesIn(fd: number): number {
  const answer = new Uint8Array(4)
  native.ioctl(fd, FIONREAD, answer)
  return new Int32Array(answer.buffer)[0] ?? 0
}

/** Calls with the ends of a pipe that holds the same as this one, packets kept, and has room for one more where that had room for one. */
function withCopy<T>(source: number, use: (reader: number, writer: number) => T): T {
  const total = bytesIn(source)
  const [reader, writer] = native.pipe(O_CLOEXEC | O_NONBLOCK)
  try {
    native.fcntl(writer, F_SETPIPE_SZ, Math.max(native.fcntl(source, F_GETPIPE_SZ), LEAST_PROBE_BYTES))
    const count = total === 0 ? 0 : native.tee(source, writer, total, SPLICE_F_NONBLOCK)
    if (count !== total) throw new Error(`tee copied ${count} of ${total} bytes of a pipe`)
    return use(reader, writer)
  } finally {
    closeSync(reader)
    closeSync(writer)
  }
}

/**
 * All of a pipe; undefined where it holds packets, whatever its writers write by now. A packet ends a read: all but the last byte, then the
 * last with one behind it, come in one read each only where there is none.
 */
function readStream(source: number): Uint8Array | undefined {
  return withCopy(source, (copy, writer) => {
    const butOne = bytesIn(copy) - 1
    const data = new Uint8Array(butOne + 1)
    if (butOne > 0) {
      const read = native.read(copy, butOne)
      if (read?.length !== butOne || bytesIn(copy) !== 1) return undefined
      data.set(read)
    }
    native.syscall('write', [writer, new Uint8Array(1), 1])
    const last = native.read(copy, 2)
    if (last?.length !== 2) return undefined
    data.set(last.subarray(0, 1), butOne)
    return data
  })
}

/**
 * A read that is shorter than a packet loses the rest of it: one byte is read, and what is missing afterwards tells whether it was
 * the start of a packet.
 */
function readPackets(source: number): PipeChunk[] {
  const chunks: PipeChunk[] = []
  let stream: number[] = []
  const flush = (): void => {
    if (stream.length > 0) chunks.push({ data: Uint8Array.from(stream), packet: false })
    stream = []
  }
  withCopy(source, (copy) => {
    for (let left = bytesIn(copy); left > 0; left = bytesIn(copy)) {
      const length = withCopy(copy, (probe) => {
        native.read(probe, 1)
        return left - bytesIn(probe)
      })
      const onlyOne = length === 1 && startsWithPacketOfOne(copy, left)
      const bytes = native.read(copy, length) ?? new Uint8Array()
      if (length > 1 || onlyOne) {
        flush()
        chunks.push({ data: bytes, packet: true })
      } else {
        stream.push(...bytes)
      }
    }
  })
  flush()
  return chunks
}

/** A second byte does not come with it. Where there is none, one is written behind it, to the copy. */
function startsWithPacketOfOne(source: number, left: number): boolean {
  return withCopy(source, (probe, writer) => {
    if (left === 1) native.syscall('write', [writer, new Uint8Array(1), 1])
    return native.read(probe, 2)?.length === 1
  })
}

/**
 * Has the pipe hold as much as it did. A new one holds less than the default where its user has as much in pipes as fs.pipe-user-pages-soft
 * allows (pipe(7)), and cannot be made to hold more.
 */
export function emitSize(program: Program, fd: Cell, sizeBytes: number): void {
  const args = sizeBytes === DEFAULT_PIPE_BYTES ? [fd, F_GETPIPE_SZ] : [fd, F_SETPIPE_SZ, sizeBytes]
  program.for(`room for ${sizeBytes} bytes`, () => program.call('fcntl', args, { equal: sizeBytes }))
}

/** Writes the chunks into a pipe whose writing end is open and does not block. */
export function fillPipe(program: Program, writer: Cell, access: number, chunks: readonly PipeChunk[]): void {
  let packets = false
  for (const { data, packet } of chunks) {
    if (packet !== packets) program.call('fcntl', [writer, F_SETFL, access | O_NONBLOCK | (packet ? O_DIRECT : 0)])
    packets = packet
    program.call('write', [writer, program.bundle.bytes(data, 1), data.length], { equal: data.length })
  }
}
