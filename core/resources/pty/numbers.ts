/**
 * Pairs with their exact numbers. A new pair gets the lowest number that is free, so lower ones are taken and kept until the tree goes
 * on. A tree with mounts of its own gets an instance of devpts of its own, too, in which all are free.
 */
import { readFileSync } from 'node:fs'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { firstThatWorks } from '../emission.js'
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NOCTTY, O_NONBLOCK, O_PATH, O_RDWR } from '../open-flags.js'

export interface PtyPair {
  number: number
  /** Where its master was opened: /dev/ptmx, or /dev/pts/ptmx. */
  path: string
  /** Pid of the leader of the session that it controls, and its foreground process group; 0: none. */
  session: number
  foreground: number
}

const TIOCGPTN = 0x8004_5430
const TIOCSPTLCK = 0x4004_5431
const MS_NOSUID_NOEXEC = 2 | 8
const DEVPTS = '/dev/pts'

export const slavePath = (number: number): string => `${DEVPTS}/${number}`

/** Options of the instance that a process sees, as mount(2) takes them. */
export function mountOptions(pid: number): string {
  const line = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .findLast((text) => text.split(' ')[4] === DEVPTS)
  const options = line?.split(' ').at(-1) ?? ''
  return options
    .split(',')
    .filter((option) => option !== 'rw' && option !== 'ro')
    .join(',')
}

/** The masters by number, not locked. Each number once per tree. */
export function openMasters(pairs: readonly PtyPair[], options: string, emitter: Emitter): ReadonlyMap<number, Cell> {
  return emitter.shared('pty', 'masters', () => {
    const { program } = emitter
    if (emitter.ownMounts) program.for('terminals of its own', () => emitMount(program, options))
    return new Map(pairs.map((pair) => [pair.number, openMaster(pair, emitter)]))
  })
}

function emitMount(program: Program, options: string): void {
  const [device, point] = [program.bundle.string('devpts'), program.bundle.string(DEVPTS)]
  const mount = (into: Cell, with_: string, expect: 'ok' | 'any'): void =>
    program.callInto(into, 'mount', [device, point, device, MS_NOSUID_NOEXEC, program.bundle.string(with_)], expect)
  // Groups of the host may have no meaning in the user namespace of an ordinary user.
  firstThatWorks(program, 'devpts', [(into) => mount(into, options, 'any'), (into) => mount(into, 'ptmxmode=0666', 'ok')])
}

function openMaster({ number, path }: PtyPair, emitter: Emitter): Cell {
  const { program } = emitter
  const master = program.bundle.cell(`pty ${number}`)
  program.for(`pseudo-terminal ${number}`, () => {
    const answer = program.bundle.allocate(8)
    const next = program.here
    program.callInto(master, 'openat', [AT_FDCWD, program.bundle.string(path), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0])
    program.call('ioctl', [master, TIOCGPTN, answer])
    const got = program.load(answer, 4)
    const found = program.jump(0, 'equal', got, number)
    const taken = program.jump(0, 'less', number, got)
    emitter.raise(master)
    program.jump(next)
    taken.target = program.here
    // Fails, as somebody else's terminal stands there.
    program.for('its number is taken', () =>
      program.call('openat', [AT_FDCWD, program.bundle.string(slavePath(number)), O_PATH | O_DIRECTORY | O_CLOEXEC, 0]),
    )
    found.target = program.here
    program.call('ioctl', [master, TIOCSPTLCK, program.bundle.bytes(new Uint8Array(4))])
  })
  return emitter.raise(master)
}
