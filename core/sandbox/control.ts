/**
 * The conversation with a sandbox's init: requests out, reports in.
 *
 * The socket is a stream, which Node can read like any other; a SEQPACKET socket it cannot. Requests go by sendmsg beside
 * it, since Node cannot send descriptors. The socket is also the lifeline: init dies when this end is closed, by us or by the kernel.
 */
import { Socket } from 'node:net'
import { native } from '../../native/index.js'
import { decodeWaitStatus, killedWithNamespace, type ExitStatus } from './exit-status.js'
import { sandboxGone } from './failures.js'
import { encodeDetach, encodeStart, ReportReader, type Plan, type Report } from './wire.js'

type Answer = Extract<Report, { kind: 'started' }>

interface Waiting<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

export class Control {
  readonly #fd: number
  readonly #initPid: number
  readonly #socket: Socket
  readonly #reader = new ReportReader()
  readonly #answers: { onAnswer: (answer: Answer) => void; reject: (error: Error) => void }[] = []
  readonly #exits = new Map<number, Waiting<ExitStatus>>()
  #open = true

  /** @param fd taken over: closed with this object */
  constructor(fd: number, initPid: number) {
    this.#fd = fd
    this.#initPid = initPid
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.on('data', (chunk: Buffer) => {
      for (const report of this.#reader.read(chunk)) this.#take(report)
    })
    // A reset is an end like any other; it comes with 'close'.
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#end())
  }

  /** `onAnswer` runs before any later report is looked at, the child's own exit among them. */
  start<T>(plan: Plan, stdio: readonly number[], planFd: number, onAnswer: (answer: Answer) => T): Promise<T> {
    this.#send(encodeStart(plan), [...stdio, planFd])
    return new Promise((resolve, reject) => {
      this.#answers.push({
        reject,
        onAnswer: (answer) => {
          try {
            resolve(onAnswer(answer))
          } catch (error) {
            reject(error)
          }
        },
      })
    })
  }

  detach(innerPid: number): void {
    this.#send(encodeDetach(innerPid), [])
  }

  /** The exit of a child of init. Ask before it can have exited: nobody keeps what nobody waits for. */
  exitOf(innerPid: number): Promise<ExitStatus> {
    if (!this.#open) return Promise.resolve(killedWithNamespace)
    const waiting = this.#exits.get(innerPid) ?? Promise.withResolvers<ExitStatus>()
    this.#exits.set(innerPid, waiting)
    return waiting.promise
  }

  close(): void {
    this.#socket.destroy()
    this.#end()
  }

  #send(request: Uint8Array, descriptors: readonly number[]): void {
    if (!this.#open) throw sandboxGone(this.#initPid)
    try {
      native.sendMessage(this.#fd, request, descriptors)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
      throw sandboxGone(this.#initPid)
    }
  }

  #take(report: Report): void {
    if (report.kind === 'started') this.#answers.shift()?.onAnswer(report)
    if (report.kind !== 'exited') return
    this.#exits.get(report.innerPid)?.resolve(decodeWaitStatus(report.status))
    this.#exits.delete(report.innerPid)
  }

  #end(): void {
    this.#open = false
    for (const { reject } of this.#answers.splice(0)) reject(sandboxGone(this.#initPid))
    for (const { resolve } of this.#exits.values()) resolve(killedWithNamespace)
    this.#exits.clear()
  }
}
