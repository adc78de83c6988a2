/** The pipe over which a template or an instance tells how it fares. */
import { Socket } from 'node:net'
import { RestoreError } from '../errors.js'
import { FAILURE_BYTES } from './spawning.js'

/** A byte when it is ready or at the gate, a failure record, the end of file once the instance runs, or with the end of the template. */
export class StatusStream {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #ended = false
  #wake: (() => void) | undefined

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.on('data', (chunk: Buffer) => this.#on(() => (this.#received = Buffer.concat([this.#received, chunk]))))
    this.#socket.on('end', () => this.#on(() => (this.#ended = true)))
    this.#socket.on('error', () => this.#on(() => (this.#ended = true)))
  }

  #on(change: () => void): void {
    change()
    this.#wake?.()
  }

  /**
   * As many bytes as wanted, or fewer at the end of file. A failure record stands out by its first byte, which is not 0: it comes whole,
   * whatever was wanted.
   *
   * @throws RestoreError THAW_RESTORE_STUCK when nothing has come for `limitMs`
   */
  async next(wanted: number, limitMs: number = Infinity): Promise<Uint8Array> {
    const due = (): number => ((this.#received[0] ?? 0) === 0 ? wanted : FAILURE_BYTES)
    while (this.#received.length < due() && !this.#ended) await this.#change(limitMs)
    const bytes = this.#received.subarray(0, due())
    this.#received = this.#received.subarray(bytes.length)
    return bytes
  }

  #change(limitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = limitMs === Infinity ? undefined : setTimeout(() => reject(stuck(limitMs)), limitMs)
      this.#wake = (): void => {
        clearTimeout(late)
        resolve()
      }
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}

const stuck = (limitMs: number): RestoreError =>
  new RestoreError(
    'THAW_RESTORE_STUCK',
    `Cannot restore: nothing was heard of the tree for ${limitMs / 1000} s, so it was given up. Make a new checkpoint; if that one is stuck, too, report it with the image.`,
  )
