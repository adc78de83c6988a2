/** /proc/PID/fdinfo/FD: common fields, and the lines that only some kinds of descriptors have. */
import { readFileSync } from 'node:fs'

export interface FdInfo {
  readonly position: bigint
  /** Open flags without O_CLOEXEC. */
  readonly flags: number
  readonly closeOnExec: boolean
  readonly mountId: number
  /** Every line, for kinds that print more (`eventfd-count: 3`, `tfd: …`, `lock: …`). */
  readonly lines: readonly string[]
}

const O_CLOEXEC = 0o2000000

export function readFdInfo(pid: number, fd: number): FdInfo {
  return parseFdInfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))
}

export function parseFdInfo(text: string): FdInfo {
  const lines = text.split('\n').filter((line) => line !== '')
  const flags = Number.parseInt(fdInfoField(lines, 'flags') ?? '0', 8)
  return {
    position: BigInt(fdInfoField(lines, 'pos') ?? 0),
    flags: flags & ~O_CLOEXEC,
    closeOnExec: (flags & O_CLOEXEC) !== 0,
    mountId: Number(fdInfoField(lines, 'mnt_id') ?? 0),
    lines,
  }
}

/** The text behind `name:` on the first line that has it. */
export function fdInfoField(lines: readonly string[], name: string): string | undefined {
  const line = lines.find((candidate) => candidate.startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim()
}
