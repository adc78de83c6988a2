/**
 * The page file: a memfd that is filled while the target stands still. Allocating its pages takes twice as long as copying into them, so
 * that is done before the freeze, by what a look at the running process promised; and the copy is one pass from address space to
 * address space (process_vm_readv), with nothing of it inside the target.
 */
import { closeSync, ftruncateSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Mapping, PageRange } from '../image/model.js'
import { PAGE_BYTES } from './pages.js'

const MFD_CLOEXEC = 1
const PROT_READ = 1
const COPY_BYTES = 1 << 20
/** Room for what a running process touches until it is frozen. */
const SLACK_BYTES = 4n << 20n

export class PageFile {
  /** Open while the page file is ours: until `take`. */
  readonly fd: number
  #taken = false
  #address = 0n
  #reserved = 0n

  constructor() {
    this.fd = native.memfdCreate('thaw-pages', MFD_CLOEXEC)
  }

  /** Before the freeze. @param sizeBytes what is expected */
  reserve(sizeBytes: bigint): void {
    this.#map(sizeBytes + sizeBytes / 16n + SLACK_BYTES)
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

  /**
   * Copies the ranges of a frozen process to their places. What it may not read itself (PROT_NONE, execute-only) comes through
   * /proc/PID/mem, which gives whatever ptrace may read.
   */
  fill(pid: number, memFd: number, mappings: readonly Mapping[], pages: readonly PageRange[]): void {
    const sizeBytes = pages.reduce((sum, { pageCount }) => sum + pageCount * PAGE_BYTES, 0n)
    if (sizeBytes > this.#reserved) this.#map(sizeBytes)
    const readable = mappings.filter(({ protection }) => (protection & PROT_READ) !== 0)
    const plain = pages.filter(({ start }) => isIn(readable, start))
    native.readProcess(
      pid,
      BigUint64Array.from(plain.flatMap(({ start, pageCount, fileOffset }) => [start, pageCount * PAGE_BYTES, fileOffset])),
      this.#address,
    )
    for (const range of pages.filter(({ start }) => !isIn(readable, start))) this.#copyUnreadable(memFd, range)
  }

  #copyUnreadable(memFd: number, { start, pageCount, fileOffset }: PageRange): void {
    const total = Number(pageCount * PAGE_BYTES)
    for (let at = 0; at < total; at += COPY_BYTES) {
      const bytes = native.readAt(memFd, start + BigInt(at), Math.min(COPY_BYTES, total - at))
      native.writeAt(this.fd, fileOffset + BigInt(at), bytes)
    }
  }

  /** Hands the file over, cut to what was filled. The mapping stays for `release`, as taking it down takes time. */
  take(sizeBytes: bigint): number {
    ftruncateSync(this.fd, Number(sizeBytes))
    this.#taken = true
    return this.fd
  }

  /** Once the target runs on. */
  release(): void {
    this.#unmap()
    if (!this.#taken) closeSync(this.fd)
  }
}

/** Binary search: there may be thousands of ranges, and the target stands still. */
function isIn(mappings: readonly Mapping[], address: bigint): boolean {
  let low = 0
  let high = mappings.length
  while (low < high) {
    const middle = (low + high) >> 1
    const mapping = mappings[middle]
    if (mapping === undefined || mapping.end > address) high = middle
    else low = middle + 1
  }
  const found = mappings[low]
  return found !== undefined && found.start <= address
}
