/** The mounts that a process sees (/proc/PID/mountinfo). */
import { readFileSync } from 'node:fs'

/** The kernel's own packing (MKDEV). */
export const packed = (major: number, minor: number): number => major * 2 ** 20 + minor

export interface Mount {
  readonly id: number
  /** Packed as in a watch's line. */
  readonly device: number
  /** Which folder of its file system it shows. */
  readonly root: string
  readonly point: string
}

const ESCAPED = /\\([0-7]{3})/g

const plain = (path: string): string => path.replaceAll(ESCAPED, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** As the process sees them; the newest first, which hide the older ones. */
export function mountsOf(pid: number): Mount[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id, , device = '', root = '', point = ''] = line.split(' ')
      const [major = 0, minor = 0] = device.split(':').map(Number)
      return { id: Number(id), device: packed(major, minor), root: plain(root), point: plain(point) }
    })
    .toReversed()
}
