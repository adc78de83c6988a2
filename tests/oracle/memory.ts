/** The mappings of a process, each with its flags and a digest of what the process would read there. */

import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { Subject } from './facts.ts'
import { PAGE_SIZE } from './procfs.ts'

export interface Mapping {
  readonly start: number
  readonly end: number
  readonly permissions: string
  readonly offset: string
  readonly device: string
  readonly inode: string
  readonly path: string
  /** `VmFlags` without soft-dirty, which nothing promises. */
  readonly flags: string
  /** As pkeys(7) has it; absent where the kernel knows of none. */
  readonly protectionKey: string | undefined
}

const CHUNK_BYTES = 2 << 20
/** Bits of the upper half of a pagemap entry: present, swapped. */
const PRESENT_OR_SWAPPED = 0xc0000000
const ZEROS = Buffer.alloc(PAGE_SIZE)

export function describeMemory(pid: number, process: Subject): void {
  const mem = openSync(`/proc/${pid}/mem`, 'r')
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r')
  try {
    for (const mapping of mappingsOf(pid)) {
      const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`
      const subject = process.part(`mapping ${range}${mapping.path === '' ? '' : ` ${mapping.path}`}`)
      subject.is('permissions', mapping.permissions)
      subject.is('offset', mapping.offset)
      subject.is('device', mapping.device)
      subject.is('inode', mapping.inode)
      subject.is('flags', mapping.flags)
      subject.is('protection key', mapping.protectionKey)
      subject.is('contents', contentsOf(mapping, mem, pagemap))
    }
  } finally {
    closeSync(mem)
    closeSync(pagemap)
  }
}

export function mappingsOf(pid: number): Mapping[] {
  const mappings: Mapping[] = []
  const heading = /^([0-9a-f]+)-([0-9a-f]+) (\S+) (\S+) (\S+) (\d+) *(.*)$/
  let flags = ''
  let protectionKey: string | undefined
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n').toReversed()) {
    // From the end: what is said of a mapping stands behind its heading.
    if (line.startsWith('VmFlags:')) flags = line.slice(8).replace(' sd', '').trim()
    if (line.startsWith('ProtectionKey:')) protectionKey = line.slice(14).trim()
    const match = heading.exec(line)
    if (!match) continue
    const [, start = '', end = '', permissions = '', offset = '', device = '', inode = '', path = ''] = match
    mappings.push({ start: parseInt(start, 16), end: parseInt(end, 16), permissions, offset, device, inode, path, flags, protectionKey })
  }
  return mappings.toReversed()
}

/** A digest of all pages that are not zero; a page never touched and a page of zeros are the same to the process. */
function contentsOf(mapping: Mapping, mem: number, pagemap: number): string {
  if (/^\[(vvar|vvar_vclock|vsyscall)\]$/.test(mapping.path)) return 'not looked at: of the kernel'
  if (/\b(dp|wf)\b/.test(mapping.flags)) return 'not looked at: droppable or wiped on a fork'
  // The vDSO has no entries in the page table until it is used.
  const anonymous = mapping.inode === '0' && mapping.path !== '[vdso]'
  const hash = createHash('sha256')
  let pages = 0
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let at = mapping.start; at < mapping.end; at += CHUNK_BYTES) {
    const size = Math.min(CHUNK_BYTES, mapping.end - at)
    // Reading would bring pages of zeros into being, and never end in a reservation of terabytes.
    for (const [from, to] of anonymous ? populated(pagemap, at, size) : [[at, at + size] as const]) {
      pages += hashRange(hash, mem, buffer, from, to)
    }
  }
  return pages === 0 ? 'zeros' : `${pages} pages, sha256 ${hash.digest('hex')}`
}

const entries = new Uint32Array((CHUNK_BYTES / PAGE_SIZE) * 2)

/** Ranges of pages that exist, within one chunk. */
function populated(pagemap: number, at: number, size: number): [number, number][] {
  const count = size / PAGE_SIZE
  readSync(pagemap, entries, 0, count * 8, (at / PAGE_SIZE) * 8)
  const ranges: [number, number][] = []
  let from = -1
  for (let i = 0; i <= count; i++) {
    const there = i < count && ((entries[i * 2 + 1] ?? 0) & PRESENT_OR_SWAPPED) !== 0
    if (there && from < 0) from = i
    if (!there && from >= 0) {
      ranges.push([at + from * PAGE_SIZE, at + i * PAGE_SIZE])
      from = -1
    }
  }
  return ranges
}

function hashRange(hash: ReturnType<typeof createHash>, mem: number, buffer: Buffer, from: number, to: number): number {
  let pages = 0
  for (let at = from; at < to;) {
    const got = tryRead(mem, buffer, at, to - at)
    if (got < PAGE_SIZE) {
      // A guard region, or a page behind the file's end: the process would get a signal.
      hash.update(`fault at ${at.toString(16)}`)
      pages++
      at += PAGE_SIZE
      continue
    }
    const whole = got - (got % PAGE_SIZE)
    for (let i = 0; i < whole; i += PAGE_SIZE) {
      const page = buffer.subarray(i, i + PAGE_SIZE)
      if (page.equals(ZEROS)) continue
      hash.update((at + i).toString(16)).update(page)
      pages++
    }
    at += whole
  }
  return pages
}

function tryRead(mem: number, buffer: Buffer, at: number, size: number): number {
  try {
    return readSync(mem, buffer, 0, size, at)
  } catch {
    return 0
  }
}
