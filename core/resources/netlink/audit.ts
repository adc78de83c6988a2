/** Sockets of the audit system (linux/audit.h): most only send to it, but one belongs to its daemon, whom the kernel knows by that. */
import { closeSync, readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { SystemError } from '../../../native/index.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { AF_NETLINK } from '../socket/option-table.js'

export const NETLINK_AUDIT = 9
const SOCK_RAW_CLOEXEC = 0o2000003
const HEADER_BYTES = 16
const STATUS_BYTES = 64
const AUDIT_GET = 1000
const NLM_F_REQUEST = 1
const TYPE_AT = 4
/** In struct audit_status. */
const PID_AT = HEADER_BYTES + 12
const POLLIN = 1
const ANSWER_MS = 100
/** PROC_PID_INIT_INO and PROC_USER_INIT_INO of linux/proc_ns.h. */
const INITIAL = { pid: 'pid:[4026531836]', user: 'user:[4026531837]' } as const

/** @throws UnsupportedError THAW_NETLINK_PROTOCOL for what may be the daemon's, or is told of records */
export function refuseAuditDaemon(seen: SeenDescription, { processes }: SeenTree, groups: readonly number[]): void {
  const refused = (is: string): Error =>
    refusal(seen, 'THAW_NETLINK_PROTOCOL', `is a netlink socket (audit) ${is}`, 'Close it in the warm-up.')
  if (groups.length > 0) throw refused('that is told of records, which is not carried')
  if (!mayRegister(homeOf(seen).pid)) return
  const daemon = daemonPid()
  if (daemon === undefined) throw refused('of which only root can tell whether it is that of the audit daemon')
  if (processes.some(({ pid }) => pid === daemon)) throw refused('of the audit daemon, which is not carried')
}

/** The daemon can only be one of the initial namespaces. */
const mayRegister = (pid: number): boolean =>
  (['pid', 'user'] as const).every((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`) === INITIAL[kind])

/** 0 for none; undefined for who may not ask. */
function daemonPid(): number | undefined {
  const socket = native.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_AUDIT)
  try {
    native.sendMessage(socket, question(), [])
    if ((native.poll(socket, POLLIN, ANSWER_MS) & POLLIN) === 0) return undefined
    const { bytes } = native.receiveMessage(socket, HEADER_BYTES + STATUS_BYTES, 0) ?? { bytes: new Uint8Array() }
    if (bytes.length < PID_AT + 4) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    return view.getUint16(TYPE_AT, true) === AUDIT_GET ? view.getUint32(PID_AT, true) : undefined
  } catch (error) {
    if (!['EPERM', 'ECONNREFUSED'].includes((error as SystemError).code)) throw error
    return undefined
  } finally {
    closeSync(socket)
  }
}

/** struct nlmsghdr alone. */
function question(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(TYPE_AT, AUDIT_GET, true)
  view.setUint16(6, NLM_F_REQUEST, true)
  return bytes
}
