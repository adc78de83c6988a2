/** An open file description in a few words: `regular file  /var/log/app.log  position 512`. */
import type { DescriptionModel } from '../image/model.js'
import { printAddress } from '../resources/socket/address.js'
import { bytes } from './units.js'

type Describe = (value: unknown) => string

const plain: Describe = String
const named =
  (name: string): Describe =>
  (value) =>
    `${name} ${String(value)}`
const counted =
  (one: string, many: string): Describe =>
  (value) =>
    (value as unknown[]).length === 1 ? `1 ${one}` : `${(value as unknown[]).length} ${many}`

/** Fields of the kinds' payloads that tell people something, in this order; the rest is for the restore, and for --json. */
const telling: readonly (readonly [field: string, describe: Describe])[] = [
  ['path', plain],
  ['name', plain],
  ['folder', () => '(a folder)'],
  ['deleted', () => '(deleted)'],
  ['state', plain],
  ['address', (value) => printName(value as Uint8Array)],
  ['peerAddress', (value) => `to ${printName(value as Uint8Array)}`],
  // Of a unix socket it is a number, which tells nothing.
  ['peer', (value) => (value instanceof Uint8Array && value.length > SOCKADDR_NL_BYTES ? `to ${printName(value)}` : '')],
  ['position', named('at')],
  ['pid', named('of pid')],
  ['stream', (value) => ['standard input', 'standard output', 'standard error'][Number(value)] ?? ''],
  ['terminal', () => 'of a terminal'],
  ['count', named('count')],
  ['number', named('number')],
  ['sqEntries', named('entries')],
  ['mask', (value) => `mask 0x${(value as bigint).toString(16)}`],
  ['items', counted('item', 'items')],
  ['watches', counted('watch', 'watches')],
  ['events', counted('unread event', 'unread events')],
  ['chunks', (value) => `holds ${bytes((value as { data: Uint8Array }[]).reduce((sum, { data }) => sum + data.length, 0))}`],
  ['received', (value) => `${bytes((value as Uint8Array).length)} to read`],
  ['unread', (value) => `${bytes((value as Uint8Array).length)} to read`],
  ['unsent', (value) => `${bytes((value as Uint8Array).length)} to send`],
  ['port', named('port')],
  ['groups', counted('group', 'groups')],
  ['queue', counted('message waits', 'messages wait')],
  ['locks', counted('lock', 'locks')],
]

export function describeDescription(description: DescriptionModel | undefined): string {
  if (description === undefined) return 'missing'
  const payload = description.payload as Record<string, unknown>
  const words = telling.flatMap(([field, describe]) => (says(payload[field], field) ? [describe(payload[field])] : []))
  return [description.kind.replaceAll('_', ' '), ...words].filter((word) => word !== '').join('  ')
}

/** What is at its default says nothing, but for the number of a stream. */
function says(value: unknown, field: string): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length > 0
  return field === 'stream' || field === 'number' || (value !== 0 && value !== 0n)
}

/** A struct sockaddr of the internet, else the name of a unix socket, which starts with NUL where it is abstract. */
function printName(address: Uint8Array): string {
  const family = (address[0] ?? 0) | ((address[1] ?? 0) << 8)
  if (family === AF_INET || family === AF_INET6) return printAddress(address)
  return Buffer.from(address).toString().replace(/^\0/, '@').replaceAll('\0', '')
}

const SOCKADDR_NL_BYTES = 12
const AF_INET = 2
const AF_INET6 = 10
