/** Which end of which pseudo-terminal (pty(7)) a descriptor is, and who else has that open. */
import { readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { readStat } from '../../proc/status.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { O_PATH, S_IFCHR, S_IFMT } from '../open-flags.js'
import { findOutside } from '../tree-now.js'

export interface PtyEnd {
  /** N of /dev/pts/N. */
  readonly number: number
  readonly master: boolean
}

/** A pair whose master the tree has open. */
export interface SeenPty {
  readonly number: number
  readonly master: SeenDescription
  readonly slaves: readonly SeenDescription[]
}

/** _IOR('T', 0x30, unsigned int): the number of the terminal, of the master the slave's. */
const TIOCGPTN = 0x8004_5430
/** _IOR('T', 0x32, unsigned int): the device of the terminal, of a master its slave's. */
const TIOCGDEV = 0x8004_5432
const KCMP_FILE = 0
const TIOCGSID = 0x5429
const PTMX = (5n << 8n) | 2n
const SLAVE_MAJOR = 136
const STAT_SESSION = 6 - 3
const STAT_TTY = 7 - 3
const ends = new WeakMap<SeenDescription, PtyEnd | 'other'>()

/** The pair that a description is an end of, if its master is in the tree. */
export function ptyOf(seen: SeenDescription, tree: SeenTree): SeenPty | undefined {
  const number = endOf(seen)?.number
  const pty =
    number === undefined ? undefined : tree.descriptions.map((other) => pairOf(other, tree)).find((pair) => pair?.number === number)
  return pty !== undefined && (pty.master === seen || pty.slaves.includes(seen)) ? pty : undefined
}

/** Numbers of all pairs of the tree, ascending. */
export function ptysOf(tree: SeenTree): SeenPty[] {
  const pairs = tree.descriptions.flatMap((seen) => pairOf(seen, tree) ?? [])
  return pairs.toSorted((a, b) => a.number - b.number)
}

function pairOf(master: SeenDescription, tree: SeenTree): SeenPty | undefined {
  const end = endOf(master)
  if (end?.master !== true) return undefined
  const slaves = tree.descriptions.filter((seen) => {
    const other = endOf(seen)
    return other?.master === false && other.number === end.number && isOfInstance(seen, master)
  })
  return { number: end.number, master, slaves }
}

/** Numbers belong to an instance of devpts: the one that is mounted where the master's process looks for it. */
function isOfInstance(slave: SeenDescription, master: SeenDescription): boolean {
  const { rootPath } = homeOf(master)
  if (slave.link !== '/dev/tty') return native.statPath(`${rootPath}/dev/pts`).device === slave.status.device
  const { pid } = homeOf(slave)
  return hasTerminal(pid, endOf(master)?.number ?? 0) && Number(readStat(pid)[STAT_SESSION]) === sessionOf(master)
}

/** Whether the controlling terminal of a process has this number, in whatever instance of devpts. */
export const hasTerminal = (pid: number, number: number): boolean => Number(readStat(pid)[STAT_TTY]) === slaveDevice(number)

const slaveDevice = (number: number): number => (SLAVE_MAJOR << 8) | (number & 0xff) | ((number & 0xfff00) << 12)

/** The session that the pair is the controlling terminal of, as the dumper sees it: 0 for one that it does not see, undefined for none. */
export const sessionOf = (master: SeenDescription): number | undefined => askNumber(master, TIOCGSID)

function endOf(seen: SeenDescription): PtyEnd | undefined {
  const known = ends.get(seen) ?? look(seen) ?? 'other'
  ends.set(seen, known)
  return known === 'other' ? undefined : known
}

function look(seen: SeenDescription): PtyEnd | undefined {
  const { status, info, link } = seen
  if ((status.mode & S_IFMT) !== S_IFCHR || (info.flags & O_PATH) !== 0) return undefined
  const major = Number((status.rdev >> 8n) & 0xfffn)
  if (status.rdev !== PTMX && major !== SLAVE_MAJOR && link !== '/dev/tty') return undefined
  const master = askNumber(seen, TIOCGPTN)
  if (master !== undefined) return { number: master, master: true }
  const device = askNumber(seen, TIOCGDEV)
  if (device === undefined || ((device >> 8) & 0xfff) !== SLAVE_MAJOR) return undefined
  return { number: (device & 0xff) | ((device >>> 12) & 0xfff00), master: false }
}

/** Undefined where the terminal does not answer: it has none, or was hung up. */
export function askNumber(seen: SeenDescription, request: number): number | undefined {
  const answer = new Uint8Array(4)
  try {
    native.ioctl(seen.duplicate(), request, answer)
  } catch {
    return undefined
  }
  return new Int32Array(answer.buffer)[0]
}

/** The first process outside the tree that has one of the ends open. */
export function holderOutside(pty: SeenPty, tree: SeenTree): number | undefined {
  return findOutside(tree, (pid) => holds(pid, pty))
}

/** Numbers may be those of another instance of devpts: a slave has its device, and a master is one description only. */
function holds(pid: number, { number, master, slaves }: SeenPty): boolean {
  const device = slaves.find(({ link }) => link !== '/dev/tty')?.status.device
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const path = `/proc/${pid}/fd/${fd}`
      const link = readlinkSync(path)
      if (link === `/dev/pts/${number}`) return native.statPath(path).device === device
      return link === master.link && native.kcmp(master.process.pid, pid, KCMP_FILE, master.fd, Number(fd)) === 0
    })
  } catch {
    // Gone meanwhile, or of another user.
    return false
  }
}
