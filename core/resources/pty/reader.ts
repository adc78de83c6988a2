/** The process of the tree that reads, and puts back, what stands in a pseudo-terminal (reading.ts). */
import { readdirSync } from 'node:fs'
import { readStat } from '../../proc/status.js'
import type { SeenDescription, SeenProcess, SeenTree } from '../description.js'
import { O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME, O_NONBLOCK } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { askNumber, hasTerminal } from './seen-pty.js'
import type { SeenPty } from './seen-pty.js'

/** By its own numbers. */
export interface PtyReader {
  readonly process: SeenProcess
  readonly master: number
  /** -1: it has none. */
  readonly slave: number
  /** What is not to block, or not to send signals, meanwhile; with its flags as F_SETFL takes them. */
  readonly quiet: readonly { readonly fd: number; readonly flags: number; readonly meanwhile: number }[]
}

const TIOCGPGRP = 0x540f
const STAT_GROUP = 5 - 3
const SETTABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC

/** @throws UnsupportedError THAW_PTY_READER */
export function readerOf(pair: SeenPty, exclusive: boolean, tree: SeenTree): PtyReader {
  const { master, slaves, number } = pair
  const readers = tree.processes.flatMap((process) => readerIn(process, pair, tree) ?? [])
  const refuse = (why: string): never => {
    throw refusal(master, 'THAW_PTY_READER', `is the master of pseudo-terminal ${number}, ${why}`, 'Close it in the warm-up.')
  }
  if (readers.length === 0) return refuse('which is in flight')
  const inFront = readers.filter(({ process }) => mayRead(process, pair))
  if (inFront.length === 0) return refuse('which only processes in the background of that terminal have open')
  const withSlave = inFront.filter(({ slave }) => !exclusive || slave >= 0)
  if (withSlave.length === 0) return refuse('whose other end another process has for itself (TIOCEXCL)')
  const signals = [master, ...slaves].filter(({ info }) => (info.flags & O_ASYNC) !== 0)
  return (
    // Edges of epoll sets are looked at process by process, and before.
    withSlave.findLast(({ quiet }) => signals.every((end) => quiet.some(({ end: own }) => own === end))) ??
    refuse('of which a signal tells (O_ASYNC) whatever ends of it different processes have')
  )
}

type Reader = Omit<PtyReader, 'quiet'> & { quiet: (PtyReader['quiet'][number] & { end: SeenDescription })[] }

function readerIn(process: SeenProcess, { master, slaves }: SeenPty, tree: SeenTree): Reader | undefined {
  const numbers = numbersIn(process, tree)
  const own = numbers.get(master)
  if (own === undefined) return undefined
  const quiet = [master, ...slaves].flatMap((end) => {
    const fd = numbers.get(end)
    const flags = end.info.flags & SETTABLE
    const meanwhile = (flags & ~O_ASYNC) | (end === master ? O_NONBLOCK : 0)
    return fd === undefined || flags === meanwhile ? [] : [{ fd, flags, meanwhile, end }]
  })
  const slave = slaves.map((end) => numbers.get(end)).find((fd) => fd !== undefined)
  return { process, master: own, slave: slave ?? -1, quiet }
}

function numbersIn(process: SeenProcess, tree: SeenTree): Map<SeenDescription, number> {
  const numbers = new Map<SeenDescription, number>()
  for (const fd of readdirSync(`/proc/${process.pid}/fd`).map(Number)) {
    const seen = tree.descriptionOf(process, fd)
    if (seen !== undefined && !numbers.has(seen)) numbers.set(seen, fd)
  }
  return numbers
}

/** A process in the background does not get to read its controlling terminal (EIO, as the signal for that is blocked meanwhile). */
function mayRead({ pid }: SeenProcess, { number, master }: SeenPty): boolean {
  return !hasTerminal(pid, number) || Number(readStat(pid)[STAT_GROUP]) === askNumber(master, TIOCGPGRP)
}
