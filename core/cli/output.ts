/** What a command says: results on standard output, as text or as one object; steps and progress on standard error. */
import { inspect } from 'node:util'
import yoctoSpinner from 'yocto-spinner'
import type { Spinner } from 'yocto-spinner'
import { ThawError } from '../errors.js'
import { toJson } from './json.js'
import { UsageError } from './usage-error.js'

/** Options that every command has. */
export interface OutputOptions {
  readonly json?: boolean
  readonly verbose?: boolean
}

/** Shorter than this, nobody wonders. */
const PATIENCE_MS = 1000

export class Output {
  readonly #options: OutputOptions
  #spinner: Spinner | undefined
  #patience: NodeJS.Timeout | undefined
  #doing = ''

  constructor(options: OutputOptions) {
    this.#options = options
  }

  /** The result: `object` where JSON was asked for, else the text. */
  result(object: unknown, text: string): void {
    this.endProgress()
    process.stdout.write(`${this.#options.json === true ? toJson(object) : text}\n`)
  }

  /** What is being done now. Shown with -v, and on a terminal when it takes long. */
  step(doing: string): void {
    this.#doing = doing
    if (this.#options.json === true) return
    if (this.#options.verbose === true) process.stderr.write(`${doing}\n`)
    else if (this.#spinner !== undefined) this.#spinner.text = doing
    else if (process.stderr.isTTY) this.#patience ??= setTimeout(() => this.#showProgress(), PATIENCE_MS).unref()
  }

  /** The spinner comes only from the event loop: signals stay with the commands. */
  #showProgress(): void {
    this.#spinner = yoctoSpinner({ text: this.#doing, handleSignals: false }).start()
  }

  endProgress(): void {
    clearTimeout(this.#patience)
    this.#patience = undefined
    this.#spinner?.stop()
    this.#spinner = undefined
  }

  error(error: unknown): void {
    this.endProgress()
    const { name, code, message, pid, syscall, errno } = fieldsOf(error)
    if (this.#options.json === true) process.stdout.write(`${toJson({ error: { name, code, message, pid, syscall, errno } })}\n`)
    else process.stderr.write(`${name} [${code}]: ${message}\n`)
    if (this.#options.verbose === true && this.#options.json !== true) process.stderr.write(`${inspect(error)}\n`)
  }
}

interface ErrorFields {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly pid?: number
  readonly syscall?: string
  readonly errno?: number
}

/** An error without a code of ours is our fault. */
function fieldsOf(error: unknown): ErrorFields {
  if (error instanceof ThawError || error instanceof UsageError) return error
  const { message, pid, syscall, errno } = error instanceof Error ? (error as ErrorFields) : { message: String(error) }
  const fields = {
    ...(pid === undefined ? {} : { pid }),
    ...(syscall === undefined ? {} : { syscall }),
    ...(errno === undefined ? {} : { errno: Math.abs(errno) }),
  }
  return {
    name: 'InternalError',
    code: 'THAW_INTERNAL',
    message: `${message}. This is a fault of thaw: please report it, with what -v prints.`,
    ...fields,
  }
}
