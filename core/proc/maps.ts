/** The mappings of a process with their flags: /proc/PID/smaps (proc(5)). */
import { readFileSync } from 'node:fs'

export interface MappingLine {
  readonly start: bigint
  readonly end: bigint
  /** `rwxp` or `rw-s`, as printed. */
  readonly permissions: string
  readonly offset: bigint
  /** `fe:00`, as printed. */
  readonly device: string
  readonly inode: bigint
  /** Path or `[name]`; empty for anonymous memory. ` (deleted)` is still at the end. */
  readonly path: string
  /** Two-letter VmFlags of smaps. */
  readonly flags: ReadonlySet<string>
  /** pkeys(7); 0 where the processor has none. */
  readonly protectionKey: number
}

/** A name of a file may hold it, but no line break: the kernel prints that as an escape. */
const FLAGS = '\nVmFlags:'

/** Expensive, as the kernel looks at every page: once per freeze. */
export function readMappings(pid: number): MappingLine[] {
  const text = readFileSync(`/proc/${pid}/smaps`, 'utf8')
  const mappings: MappingLine[] = []
  // Of each block of some twenty lines the first is of interest, and from the end the flags and, just before them, the protection key.
  for (let at = 0; at < text.length;) {
    const flags = text.indexOf(FLAGS, at)
    if (flags < 0) break
    const end = text.indexOf('\n', flags + 1)
    const line = parseLine(text.slice(at, text.indexOf('\n', at)))
    mappings.push({
      ...line,
      protectionKey: Number(keyBefore.exec(text.slice(flags - KEY_CHARACTERS, flags))?.[1] ?? 0),
      flags: new Set(
        text
          .slice(flags + FLAGS.length, end)
          .trim()
          .split(' '),
      ),
    })
    at = end + 1
  }
  return mappings
}

/** More than `ProtectionKey:         0` has. */
const KEY_CHARACTERS = 32
const keyBefore = /ProtectionKey:\s*(\d+)\s*$/

const format = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+) *(.*)$/s

function parseLine(text: string): Omit<MappingLine, 'flags' | 'protectionKey'> {
  const match = format.exec(text)
  if (match === null) throw new Error(`not a line of /proc/PID/maps: ${text}`)
  const [, start, end, permissions = '', offset, device = '', inode, path = ''] = match
  return {
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    permissions,
    offset: BigInt(`0x${offset}`),
    device,
    inode: BigInt(inode ?? 0),
    path: unescape(path),
  }
}

/** Undoes the octal escape that the kernel prints newlines in paths as. */
const unescape = (path: string): string => path.replaceAll('\\012', '\n')
