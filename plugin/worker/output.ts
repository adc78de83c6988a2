import { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import type { Native } from '../../native/index.js'

/** Kept of each stream: the end of it. */
const KEPT_CHARACTERS = 64 * 1024
const READ_BYTES = 64 * 1024
const F_GETPIPE_SZ = 1032

/**
 * What a process writes to one of its standard streams, read from the pipe itself. Node reads it as it comes, so that the process
 * never waits for us; `text` looks into the pipe once more, so that what was written before a response is there after it. That
 * is no more than the pipe holds: who prints without end could keep this thread for good.
 */
export class Output {
  readonly #native: Native
  readonly #fd: number
  readonly #socket: Socket
  readonly #decoder = new StringDecoder()
  readonly #listeners = new Set<() => void>()
  #text = ''
  #looking = false

  constructor(native: Native, fd: number) {
    this.#native = native
    this.#fd = fd
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.unref()
    this.#socket.on('data', (chunk: Buffer) => this.#append(chunk))
    this.#socket.on('error', () => {})
  }

  get text(): string {
    // A listener that is called on the way, and looks itself, has what is there by now.
    if (!this.#looking && !this.#socket.destroyed && !this.#socket.readableEnded) {
      this.#looking = true
      try {
        this.#look()
      } finally {
        this.#looking = false
      }
    }
    return this.#text
  }

  /** Calls back whenever there is more. */
  onMore(listener: () => void): void {
    this.#listeners.add(listener)
  }

  close(): void {
    void this.text
    this.#socket.destroy()
  }

  #look(): void {
    let left = this.#native.fcntl(this.#fd, F_GETPIPE_SZ)
    while (left > 0) {
      const bytes = this.#native.read(this.#fd, Math.min(READ_BYTES, left))
      if (!bytes || bytes.length === 0) break
      left -= bytes.length
      this.#append(bytes)
    }
  }

  #append(bytes: Uint8Array): void {
    this.#text = (this.#text + this.#decoder.write(bytes as Buffer)).slice(-KEPT_CHARACTERS)
    for (const listener of this.#listeners) listener()
  }
}
