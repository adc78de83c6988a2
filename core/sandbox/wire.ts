/** The engine's side of native/init/wire.h: little-endian structures of fixed size. */

/** Namespaces of linux/sched.h. */
export const CLONE_NEWTIME = 0x80
export const CLONE_NEWNS = 0x20000
export const CLONE_NEWUTS = 0x4000000
export const CLONE_NEWIPC = 0x8000000
export const CLONE_NEWPID = 0x20000000
export const CLONE_NEWNET = 0x40000000

const START = 1
const DETACH = 2
const REQUEST_BYTES = 24

const SANDBOX = 1
const STARTED = 2
const EXITED = 3
export const REPORT_BYTES = 32
const STEP_OFFSET = 12

/** How an answer says that it failed: what was being done, and a positive errno. */
export interface Failure {
  readonly step: string
  readonly errno: number
}

export type Report =
  /** `pid` is init's, as the host sees it. */
  | { readonly kind: 'sandbox'; readonly pid: number; readonly failure?: Failure }
  /** `innerPid` is the child's, as the sandbox sees it. */
  | { readonly kind: 'started'; readonly innerPid: number; readonly failure?: Failure }
  /** `status` as of wait(2). */
  | { readonly kind: 'exited'; readonly innerPid: number; readonly status: number }

/** Strings of a plan, with their counts: what START tells init to execute. */
export interface Plan {
  readonly strings: Uint8Array
  readonly argumentCount: number
  readonly environmentCount: number
}

export function encodeSandboxRequest(cloneFlags: number, ownShm: boolean): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(cloneFlags), ownShm ? 1n : 0n).buffer)
}

function encodeRequest(kind: number, innerPid: number, plan?: Plan): Uint8Array {
  const view = new DataView(new ArrayBuffer(REQUEST_BYTES))
  view.setUint32(0, kind, true)
  view.setInt32(4, innerPid, true)
  view.setUint32(8, plan?.argumentCount ?? 0, true)
  view.setUint32(12, plan?.environmentCount ?? 0, true)
  view.setBigUint64(16, BigInt(plan?.strings.length ?? 0), true)
  return new Uint8Array(view.buffer)
}

export const encodeStart = (plan: Plan): Uint8Array => encodeRequest(START, 0, plan)
export const encodeDetach = (innerPid: number): Uint8Array => encodeRequest(DETACH, innerPid)

export function decodeReport(bytes: Uint8Array): Report {
  const view = new DataView(bytes.buffer, bytes.byteOffset, REPORT_BYTES)
  const kind = view.getUint32(0, true)
  const pid = view.getInt32(4, true)
  const value = view.getInt32(8, true)
  if (kind === EXITED) return { kind: 'exited', innerPid: pid, status: value }

  const [step = ''] = Buffer.from(bytes.subarray(STEP_OFFSET, REPORT_BYTES)).toString('latin1').split('\0')
  const failed = value === 0 ? {} : { failure: { step, errno: -value } }
  if (kind === SANDBOX) return { kind: 'sandbox', pid, ...failed }
  if (kind === STARTED) return { kind: 'started', innerPid: pid, ...failed }
  throw new Error(`a report of unknown kind ${kind} from thaw-init`)
}

/** Cuts a stream of bytes into reports. */
export class ReportReader {
  #rest: Uint8Array = new Uint8Array()

  read(chunk: Uint8Array): Report[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const end = bytes.length - (bytes.length % REPORT_BYTES)
    const reports: Report[] = []
    for (let at = 0; at < end; at += REPORT_BYTES) reports.push(decodeReport(bytes.subarray(at, at + REPORT_BYTES)))
    this.#rest = bytes.slice(end)
    return reports
  }
}
