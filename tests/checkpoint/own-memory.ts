/** Mappings of this process, made to be looked at. */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../dist/native/index.js'
import type { Mapping } from '../../dist/core/image/model.js'

export const PAGE = 4096n
const PROT_READ_WRITE = 3
const [MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS] = [1, 2, 0x20]
const [MADV_NOHUGEPAGE, MADV_GUARD_INSTALL] = [15, 102]

export class OwnMemory implements Disposable {
  readonly start: bigint
  readonly end: bigint
  readonly #mem: number = openSync('/proc/self/mem', 'r+')

  /** @param file a descriptor: mapped privately. Left out, the memory is anonymous; `shared` makes it so. */
  constructor(pages: bigint, file = -1, shared = false) {
    const flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (file < 0 ? MAP_ANONYMOUS : 0)
    this.start = native.syscall('mmap', [0, pages * PAGE, PROT_READ_WRITE, flags, file, 0])
    this.end = this.start + pages * PAGE
    native.syscall('madvise', [this.start, pages * PAGE, MADV_NOHUGEPAGE])
  }

  page(index: bigint): bigint {
    return this.start + index * PAGE
  }

  write(index: bigint): void {
    native.writeAt(this.#mem, this.page(index), Uint8Array.of(1))
  }

  /** Of anonymous memory never written to, this brings in the zero page. */
  read(index: bigint): void {
    native.readAt(this.#mem, this.page(index), 1)
  }

  guard(index: bigint): void {
    native.syscall('madvise', [this.page(index), PAGE, MADV_GUARD_INSTALL])
  }

  [Symbol.dispose](): void {
    native.syscall('munmap', [this.start, this.end - this.start])
    closeSync(this.#mem)
  }
}

/** As an image describes it. */
export const mapping = (start: bigint, end: bigint, rest: Partial<Mapping> = {}): Mapping =>
  // prettier-ignore
  ({ start, end, protection: PROT_READ_WRITE, kind: 0, offset: 0n, file: null, flags: [], name: '', protectionKey: 0, sharedMemory: 0, ...rest })
