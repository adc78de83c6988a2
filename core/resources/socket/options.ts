/**
 * Options of sockets: those that differ from what a fresh socket of the same kind has are carried. The fresh one is made in the same
 * network namespace, whose settings decide the defaults.
 */
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenProcess } from '../description.js'
import { collectFilter, emitFilter, isFilter } from './filter.js'
import {
  intBytes,
  intOf,
  isTcpProtocol,
  optionsFor,
  SO_ATTACH_FILTER,
  SO_BUF_LOCK,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_RAW,
  SOL_SOCKET,
} from './option-table.js'
import type { OptionEntry } from './option-table.js'

export interface SocketOption {
  level: number
  option: number
  value: Uint8Array
}

const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
/** The kernel doubles what it is asked for (socket(7)). */
const BUFFER_FACTOR = 2

export function collectOptions(seen: SeenDescription, family: number, type: number, protocol: number): SocketOption[] {
  const fd = seen.duplicate()
  const filter = collectFilter(seen, type === SOCK_RAW || !isTcpProtocol(protocol))
  const usual = usualOptions(homeOf(seen), family, type, protocol)
  const others = optionsFor(family, type, protocol).flatMap((entry, index) => {
    const value = readOption(fd, entry)
    const other = usual[index]
    if (value === undefined || (other !== undefined && Buffer.compare(value, other) === 0)) return []
    return [{ level: entry.level, option: entry.option, value }]
  })
  return [...filter, ...others]
}

type Values = readonly (Uint8Array | undefined)[]
const known = new WeakMap<SeenProcess, Map<string, Values>>()

/** Asked once for each process and kind of socket: while it runs, not while it stands still. */
function usualOptions(process: SeenProcess, family: number, type: number, protocol: number): Values {
  const kinds = known.get(process) ?? new Map<string, Values>()
  known.set(process, kinds)
  const key = `${family} ${type} ${protocol}`
  const values = kinds.get(key) ?? readFresh(process, family, type, protocol)
  kinds.set(key, values)
  return values
}

function readFresh({ pid }: SeenProcess, family: number, type: number, protocol: number): Values {
  const fresh = freshSocket(pid, family, type, protocol)
  try {
    return optionsFor(family, type, protocol).map((entry) => readOption(fresh, entry))
  } finally {
    closeSync(fresh)
  }
}

export function freshSocket(pid: number, family: number, type: number, protocol: number): number {
  if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) return native.socket(family, type, protocol)
  const namespace = openSync(`/proc/${pid}/ns/net`, 'r')
  try {
    return native.socketInNamespace(namespace, family, type, protocol)
  } finally {
    closeSync(namespace)
  }
}

/** Undefined where this kernel, or this kind of socket, has no such option. */
function readOption(fd: number, { level, option, bytes }: OptionEntry): Uint8Array | undefined {
  try {
    return native.getsockopt(fd, level, option, bytes)
  } catch {
    return undefined
  }
}

const isSize = ({ level, option }: SocketOption): boolean => level === SOL_SOCKET && (option === SO_SNDBUF || option === SO_RCVBUF)
const isBuffer = (option: SocketOption): boolean =>
  isSize(option) || isFilter(option) || (option.level === SOL_SOCKET && option.option === SO_BUF_LOCK)

/**
 * Sets the options in the order of the table; sizes of buffers, and filters, only if asked for, since a socket is filled before they
 * shrink, and whatever these think of it.
 */
export function emitOptions(program: Program, fd: Cell, options: readonly SocketOption[], which: 'buffers' | 'others' | 'all'): void {
  for (const option of options) {
    if (which !== 'all' && isBuffer(option) !== (which === 'buffers')) continue
    if (option.level === SOL_SOCKET && option.option === SO_ATTACH_FILTER) {
      program.for('packet filter', () => emitFilter(program, fd, option.value))
      continue
    }
    const [name, value] = isSize(option) ? bufferSize(option) : [option.option, option.value]
    program.for(`option ${option.level}:${option.option}`, () =>
      program.call('setsockopt', [fd, option.level, name, program.bundle.bytes(value), value.length]),
    )
  }
}

/** Above the limit for everybody, the privileged option is the only way; whoever made the socket needed it too. */
function bufferSize({ option, value }: SocketOption): [number, Uint8Array] {
  const size = Math.floor(intOf(value) / BUFFER_FACTOR)
  const sending = option === SO_SNDBUF
  const limit = Number(readFileSync(`/proc/sys/net/core/${sending ? 'w' : 'r'}mem_max`, 'utf8'))
  const forced = sending ? SO_SNDBUFFORCE : SO_RCVBUFFORCE
  return [size > limit ? forced : option, intBytes(size)]
}
