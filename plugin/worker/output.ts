import { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import type { Native } from '../../native/index.js'

/** Kept of each stream: the end of it. */
const KEPT_CHARACTERS = 64 * 1024
const READ_BYTES = 64 * 1024

/**
 * What a process writes to one of its standard streams, read from the pipe itself. Node reads it as it comes, so that the process
 * never waits for us; `text` looks into the pipe once more, so that what was written before a response is there after it.
 */
export class Output {
  readonly #native: Native
  readonly #fd: number
  readonly #socket: Socket
  readonly #decoder = new StringDecoder()
  readonly #listeners = new Set<() => void>()
  #text = ''

  constructor(native: Native, fd: number) {
    this.#native = native
    this.#fd = fd
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.unref()
    this.#socket.on('data', (chunk: Buffer) => this.#append(chunk))
    this.#socket.on('error', () => {})
  }

  get text(): string {
    while (!this.#socket.destroyed && !this.#socket.readableEnded) {
      const bytes = this.#native.read(this.#fd, READ_BYTES)
      if (!bytes || bytes.length === 0) break
      this.#append(bytes)
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

  #append(bytes: Uint8Array): void {
    this.#text = (this.#text + this.#decoder.write(bytes as Buffer)).slice(-KEPT_CHARACTERS)
    for (const listener of this.#listeners) listener()
  }
}
