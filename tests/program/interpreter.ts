/** Runs bundles where templates run theirs: in a process of its own, by `thaw-init template`. */
import { closeSync, readFileSync, writeSync } from 'node:fs'
import { initProgramPath, native, restorerBlobPath, type WaitStatus } from '../../dist/native/index.js'
import { Bundle } from '../../dist/core/program/bundle.js'
import type { Program } from '../../dist/core/program/program.js'

const BASE = 0x2000_0000_0000n
const PAGE = 4096
const [POLLIN, SIGKILL] = [1, 9]
/** Descriptors of the running program: ends of two pipes, and a file of the test's own. */
export const [INPUT, OUTPUT, FILE] = [3, 5, 6]

/** The interpreter, as it stands at BASE. */
export const code: Uint8Array = Buffer.concat([readFileSync(restorerBlobPath())], PAGE)
export const codeAddress = BASE

/** A running bundle. It is killed at the end of its scope. */
export class Run implements Disposable {
  readonly pid: number
  readonly bundle: Bundle = new Bundle(BASE + BigInt(PAGE))
  readonly #pidfd: number
  #input: number | undefined
  readonly #output: number
  #status: WaitStatus | null = null

  /** @param build gets the program that is entered first @param file becomes descriptor FILE; stays the caller's */
  constructor(build: (main: Program, bundle: Bundle) => void, file = 2) {
    // What native/init/template.c fills in and asks for: the vDSO, the top of the stack.
    this.bundle.allocate(16)
    build(this.bundle.program('main'), this.bundle)
    const image = native.memfdCreate('interpreted', 0)
    const length = this.#write(image, this.bundle.stack(16384))
    const [theirInput, input] = native.pipe(0)
    const [output, theirOutput] = native.pipe(0)
    const args = ['template', BASE.toString(16), String(length), String(PAGE)]
    const started = native.spawnProcess(initProgramPath(), args, [2, 2, 2, theirInput, image, theirOutput, file])
    for (const fd of [image, theirInput, theirOutput]) closeSync(fd)
    this.pid = started.pid
    this.#pidfd = started.pidfd
    this.#input = input
    this.#output = output
  }

  #write(image: number, stackTop: bigint): number {
    const encoded = Buffer.from(this.bundle.encode())
    encoded.writeBigUInt64LE(stackTop, 88)
    return writeSync(image, Buffer.concat([code, encoded]))
  }

  /** What it writes next, or nothing when it has ended. */
  read(): Buffer {
    native.poll(this.#output, POLLIN, -1)
    return Buffer.from(native.read(this.#output, 65536) ?? [])
  }

  /** The call that it sleeps in, as /proc/PID/syscall tells it, once it sleeps in this one. */
  sleepsIn(name: string): string {
    for (;;) {
      const call = readFileSync(`/proc/${this.pid}/syscall`, 'utf8')
      if (call.startsWith(`${native.syscalls[name]} `)) return call.trim()
      if (native.poll(this.#pidfd, POLLIN, 1) !== 0) throw new Error(`it ended before ${name}`)
    }
  }

  /** Ends its input, which it may be waiting for. */
  goOn(): void {
    if (this.#input !== undefined) closeSync(this.#input)
    this.#input = undefined
  }

  /** All that it writes until it ends, and how it ends. */
  finish(): { output: Buffer; status: WaitStatus | null } {
    const parts: Buffer[] = []
    for (let part = this.read(); part.length > 0; part = this.read()) parts.push(part)
    native.poll(this.#pidfd, POLLIN, -1)
    this.#status = native.reap(this.pid)
    return { output: Buffer.concat(parts), status: this.#status }
  }

  [Symbol.dispose](): void {
    if (this.#status === null) {
      native.pidfdSendSignal(this.#pidfd, SIGKILL)
      native.poll(this.#pidfd, POLLIN, -1)
      native.reap(this.pid)
    }
    this.goOn()
    for (const fd of [this.#pidfd, this.#output]) closeSync(fd)
  }
}

/** Runs to the end. */
export function interpret(build: (main: Program, bundle: Bundle) => void): { output: Buffer; status: WaitStatus | null; bundle: Bundle } {
  using run = new Run(build)
  return { ...run.finish(), bundle: run.bundle }
}

/** The 64-bit numbers that programs write. */
export const numbers = (bytes: Buffer): bigint[] => [
  ...new BigInt64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
]

/** Lets a program write numbers to OUTPUT. */
export function report(program: Program, ...values: Parameters<Program['sum']>[0][]): void {
  const place = program.bundle.allocate(values.length * 8)
  values.forEach((value, i) => program.store(place + BigInt(i * 8), value, 8))
  program.call('write', [OUTPUT, place, values.length * 8], { equal: values.length * 8 })
}

export const exited = (code: number): WaitStatus => ({ kind: 'exited', code })
