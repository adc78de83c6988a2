/**
 * The page file: a memfd that is filled while the tree stands still. Allocating its pages takes twice as long as copying into them, so
 * that is done before the freeze, by what a look at the running processes promised; and the copy is one pass from address space to
 * address space (process_vm_readv), with nothing of it inside the target, while the tracer goes on asking.
 */
import { closeSync, ftruncateSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Reading } from '../../native/index.js'
import type { Mapping, PageRange } from '../image/model.js'
import { PAGE_BYTES } from './pages.js'

const MFD_CLOEXEC = 1
const PROT_READ = 1
const COPY_BYTES = 1 << 20
/** Room for what a running process touches until it is frozen. */
const SLACK_BYTES = 4n << 20n

export class PageFile implements Disposable {
  /** Open while the page file is ours: until `take`. */
  readonly fd: number
  #taken = false
  #address = 0n
  #reserved = 0n
  readonly #readings: Reading[] = []

  constructor() {
    this.fd = native.memfdCreate('thaw-pages', MFD_CLOEXEC)
  }

  /** Before the freeze. @param sizeBytes what is expected */
  static reserving(sizeBytes: bigint): PageFile {
    const file = new PageFile()
    try {
      file.#map(sizeBytes + sizeBytes / 16n + SLACK_BYTES)
      return file
    } catch (error) {
      file[Symbol.dispose]()
      throw error
    }
  }

  #map(sizeBytes: bigint): void {
    this.#unmap()
    this.#address = native.mapReserved(this.fd, sizeBytes)
    this.#reserved = sizeBytes
  }

  #unmap(): void {
    if (this.#reserved !== 0n) native.unmapReserved(this.#address, this.#reserved)
    this.#reserved = 0n
  }

  /** Room for this much, with nothing copied yet or with all copies at their ends. */
  require(sizeBytes: bigint): void {
    if (sizeBytes <= this.#reserved) return
    this.finish()
    this.#map(sizeBytes + sizeBytes / 4n)
  }

  /**
   * Begins to copy ranges of a frozen process to their places. What it may not read itself (PROT_NONE, execute-only) comes through
   * /proc/PID/mem, which gives whatever ptrace may read.
   */
  start(pid: number, memFd: number, readable: (address: bigint) => boolean, pages: readonly PageRange[]): void {
    const plain = pages.filter(({ start }) => readable(start))
    const ranges = BigUint64Array.from(plain.flatMap(({ start, pageCount, fileOffset }) => [start, pageCount * PAGE_BYTES, fileOffset]))
    if (ranges.length > 0) this.#readings.push(native.startReading(pid, ranges, this.#address))
    if (plain.length < pages.length) for (const range of pages) if (!readable(range.start)) this.#copyUnreadable(memFd, range)
  }

  /** Everything that was begun is copied, or has failed: nothing writes to the mapping any more. */
  finish(): void {
    const failures: unknown[] = []
    for (const reading of this.#readings.splice(0)) {
      try {
        native.finishReading(reading)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  #copyUnreadable(memFd: number, { start, pageCount, fileOffset }: PageRange): void {
    const total = Number(pageCount * PAGE_BYTES)
    for (let at = 0; at < total; at += COPY_BYTES) {
      const bytes = native.readAt(memFd, start + BigInt(at), Math.min(COPY_BYTES, total - at))
      native.writeAt(this.fd, fileOffset + BigInt(at), bytes)
    }
  }

  /** Once the tree runs on: hands the file over, cut to what was filled, which takes time. */
  take(sizeBytes: bigint): number {
    this.#unmap()
    ftruncateSync(this.fd, Number(sizeBytes))
    this.#taken = true
    return this.fd
  }

  [Symbol.dispose](): void {
    try {
      // Nothing may write any more to where the mapping was.
      this.finish()
    } catch {
      // What failed has been told, or nobody wants to know any more.
    } finally {
      this.#unmap()
      if (!this.#taken) closeSync(this.fd)
    }
  }
}

/** Whether the process may read at an address itself. By binary search: there may be thousands of ranges, and the tree stands still. */
export function readableIn(mappings: readonly Mapping[]): (address: bigint) => boolean {
  const readable = mappings.filter(({ protection }) => (protection & PROT_READ) !== 0)
  return (address) => {
    let low = 0
    let high = readable.length
    while (low < high) {
      const middle = (low + high) >> 1
      const mapping = readable[middle]
      if (mapping === undefined || mapping.end > address) high = middle
      else low = middle + 1
    }
    const found = readable[low]
    return found !== undefined && found.start <= address
  }
}
