/** What servers print, read from real pipes. The writers here are always there first: they write whenever something has been read. */
import { closeSync, writeSync } from 'node:fs'
import { expect, it } from 'vitest'
import { native } from '../../dist/native/index.js'
import { Output } from '../../dist/plugin/worker/output.js'

const O_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000
const F_SETPIPE_SZ = 1031
const PIPE_BYTES = 16 * 4096
const PAGE = '.'.repeat(4095) + '\n'
/** Somebody who prints without end would do it more often. */
const ENOUGH = 200

it('what was written before is there at once, all of it', () => {
  using pipe = new Pipe(4 * PIPE_BYTES)
  pipe.write(PAGE.repeat(16) + 'first\n')
  pipe.write(PAGE.repeat(15) + 'last\n')
  expect(pipe.output.text).toHaveLength(PIPE_BYTES)
  expect(pipe.output.text.endsWith('last\n')).toBe(true)
})

it('a writer without end does not keep who looks at its output', () => {
  using pipe = new Pipe(PIPE_BYTES)
  const writes = pipe.writesOn(() => {})
  pipe.write(PAGE)
  expect(pipe.output.text.startsWith(PAGE)).toBe(true)
  expect(writes()).toBeLessThanOrEqual(PIPE_BYTES / PAGE.length)
})

it('nor who waits for something in it, or closes it', () => {
  using pipe = new Pipe(PIPE_BYTES)
  const writes = pipe.writesOn(() => expect(pipe.output.text).not.toContain('ready'))
  pipe.write(PAGE)
  expect(pipe.output.text).toContain(PAGE)
  expect(writes()).toBeLessThanOrEqual(PIPE_BYTES / PAGE.length)
  pipe.output.close()
  expect(writes()).toBeLessThanOrEqual((2 * PIPE_BYTES) / PAGE.length)
})

class Pipe implements Disposable {
  readonly output: Output
  readonly #writer: number

  constructor(sizeBytes: number) {
    const [reader, writer] = native.pipe(O_CLOEXEC | O_NONBLOCK)
    native.fcntl(writer, F_SETPIPE_SZ, sizeBytes)
    this.#writer = writer
    this.output = new Output(native, reader)
  }

  write(text: string): void {
    expect(writeSync(this.#writer, text)).toBe(text.length)
  }

  /** A page for each that has been read; then, somebody looks. Returns how often. */
  writesOn(looks: () => void): () => number {
    let writes = 0
    this.output.onMore(() => {
      if (++writes > ENOUGH) return
      this.write(PAGE)
      looks()
    })
    return () => writes
  }

  [Symbol.dispose](): void {
    this.output.close()
    closeSync(this.#writer)
  }
}
