import { closeSync, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs'
import { expect } from 'vitest'
import { native, type SystemError, type WaitStatus } from '../../dist/native/index.js'

const POLLIN = 1

/**
 * A program that copies its standard input, by default `cat`, and waits for some. It is no child of Node's: a tracer takes the exit status
 * that libuv would wait for.
 */
export class Target implements Disposable {
  readonly pid: number
  readonly #pidfd: number
  readonly #output: number
  #input: number | null

  constructor(file = '/bin/cat', args: readonly string[] = []) {
    const [childInput, input] = native.pipe(0)
    const [output, childOutput] = native.pipe(0)
    const { pid, pidfd } = native.spawnProcess(file, args, [childInput, childOutput, 2])
    closeSync(childInput)
    closeSync(childOutput)
    this.pid = pid
    this.#pidfd = pidfd
    this.#input = input
    this.#output = output
    this.#waitForRead()
  }

  get state(): string {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1] ?? '?'
  }

  waitForState(state: string): void {
    while (this.state !== state) native.poll(this.#pidfd, POLLIN, 1)
  }

  /** Start-up is over when it waits in a `read` of descriptor 0. */
  #waitForRead(): void {
    while (!readFileSync(`/proc/${this.pid}/syscall`, 'utf8').startsWith(`${native.syscalls['read']} 0x0 `)) {
      native.poll(this.#pidfd, POLLIN, 1)
    }
  }

  /** Seizes and stops it. */
  freeze(): void {
    native.seize(this.pid)
    native.interrupt(this.pid)
    expect(native.wait(this.pid)).toMatchObject({ kind: 'stopped', event: PTRACE_EVENT_STOP })
  }

  endInput(): void {
    if (this.#input !== null) closeSync(this.#input)
    this.#input = null
  }

  /** Shows that it still does its work, and ends it by the end of its input. */
  finish(): WaitStatus | null {
    if (this.#input !== null) writeSync(this.#input, 'still here')
    this.endInput()
    native.poll(this.#pidfd, POLLIN, -1)
    expect(Buffer.from(native.read(this.#output, 100) ?? []).toString()).toBe('still here')
    return native.reap(this.pid)
  }

  [Symbol.dispose](): void {
    this.endInput()
    closeSync(this.#output)
    try {
      native.pidfdSendSignal(this.#pidfd, SIGKILL)
      native.poll(this.#pidfd, POLLIN, -1)
      native.reap(this.pid)
    } catch (error) {
      if ((error as SystemError).code !== 'ESRCH') throw error // the test itself has reaped it
    }
    closeSync(this.#pidfd)
  }
}

const SIGKILL = 9
export const PTRACE_EVENT_STOP = 128

/** What `call` throws, for the fields of a SystemError. */
export function refusal(call: () => unknown): SystemError {
  try {
    call()
  } catch (error) {
    return error as SystemError
  }
  throw new Error('was not refused')
}

/** The descriptors of this process, for what a test must not leave behind. */
export function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
    } catch {
      return [] // the folder's own
    }
  })
}
