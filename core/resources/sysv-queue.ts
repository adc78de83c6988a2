/** System V message queues (msgget(2)) with their messages, which MSG_COPY reads without taking them (msgop(2), since Linux 3.8). */
import type { Emitter, SeenProcess, SeenTree } from './description.js'
import { callIn, emitObject, hasOwnNamespace, permissionsOf, readTable, refuseForeign } from './sysv/table.js'
import type { SysvLine, SysvPermissions } from './sysv/table.js'

export interface SysvQueue {
  permissions: SysvPermissions
  /** How many bytes it takes (msg_qbytes). */
  limitBytes: bigint
  messages: SysvMessage[]
}

export interface SysvMessage {
  type: bigint
  text: Uint8Array
}

const IPC_STAT = 2
const IPC_NOWAIT = 0o4000
const MSG_COPY = 0o40000
const TYPE_BYTES = 8
/** struct msqid64_ds (asm-generic/msgbuf.h). */
const QUEUE_BYTES = 120
const LIMIT_AT = 88

/** @throws UnsupportedError for queues that the tree uses in a namespace that others live in */
export function collectQueues(tree: SeenTree): SysvQueue[] {
  const [first] = tree.processes
  if (first === undefined) return []
  const isOwn = hasOwnNamespace(tree)
  return readTable(first, 'msg').flatMap((row) => {
    const permissions = permissionsOf(row, 'msg', 'msqid')
    if (isOwn) return [{ permissions, limitBytes: limitOf(first, permissions.id), messages: tree.frozen ? messagesOf(first, row) : [] }]
    for (const user of ['lspid', 'lrpid']) refuseForeign(tree, 'messages', permissions, Number(row[user]))
    return []
  })
}

function limitOf(process: SeenProcess, id: number): bigint {
  const status = new Uint8Array(QUEUE_BYTES)
  callIn(process, 'msgctl', [id, IPC_STAT, status])
  return new DataView(status.buffer).getBigUint64(LIMIT_AT, true)
}

function messagesOf(process: SeenProcess, row: SysvLine): SysvMessage[] {
  const [id, most, count] = [row['msqid'] ?? 0n, Number(row['cbytes']), Number(row['qnum'])]
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(TYPE_BYTES + most)
    const length = Number(callIn(process, 'msgrcv', [id, bytes, most, i, IPC_NOWAIT | MSG_COPY]))
    return { type: new DataView(bytes.buffer).getBigInt64(0, true), text: bytes.slice(TYPE_BYTES, TYPE_BYTES + length) }
  })
}

/** In the first process, before it forks. */
export function emitQueue(emitter: Emitter, { permissions, limitBytes, messages }: SysvQueue, root: number): void {
  const { program, bundle } = emitter
  const { id, key } = permissions
  emitObject(emitter, 'msg', permissions, root, (flags) => ['msgget', [key, flags]], { at: LIMIT_AT, value: limitBytes })
  for (const { type, text } of messages) {
    const bytes = new Uint8Array(TYPE_BYTES + text.length)
    new DataView(bytes.buffer).setBigInt64(0, type, true)
    bytes.set(text, TYPE_BYTES)
    program.call('msgsnd', [id, bundle.bytes(bytes), text.length, IPC_NOWAIT])
  }
}
