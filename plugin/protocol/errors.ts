/** Errors on their way between processes: enough to rebuild one that reads the same. */
import { ThawError } from '../../core/errors.js'

export interface WireError {
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly code?: string
  readonly pid?: number
  readonly syscall?: string
  readonly errno?: number
  readonly cause?: WireError
}

/** An error that a worker reported, to be passed on to others as it came. */
export class ReportedError extends Error {
  readonly wire: WireError

  constructor(wire: WireError) {
    super(wire.message)
    this.wire = wire
  }
}

export function toWire(error: unknown): WireError {
  if (error instanceof ReportedError) return error.wire
  if (!(error instanceof Object && 'message' in error)) return { name: 'Error', message: String(error) }
  const { name, message, stack, code, pid, syscall, errno, cause } = error as Error & Record<string, unknown>
  return {
    name: String(name),
    message: String(message),
    ...(typeof stack === 'string' && { stack }),
    ...(typeof code === 'string' && { code }),
    ...(typeof pid === 'number' && { pid }),
    ...(typeof syscall === 'string' && { syscall }),
    ...(typeof errno === 'number' && { errno }),
    ...(cause !== undefined && cause !== null && { cause: toWire(cause) }),
  }
}

export function fromWire(wire: WireError): Error {
  const cause = wire.cause && fromWire(wire.cause)
  const { code, pid, syscall, errno } = wire
  const stack = wire.stack ?? `${wire.name}: ${wire.message}`
  const details = {
    ...(pid !== undefined && { pid }),
    ...(syscall !== undefined && { syscall }),
    ...(errno !== undefined && { errno }),
    ...(cause && { cause }),
  }
  const error = code?.startsWith('THAW_')
    ? new ThawError(code, wire.message, details)
    : Object.assign(new Error(wire.message, cause && { cause }), code === undefined ? {} : { code }, details)
  // The name is a field of the class there and an own, hidden property here: a class cannot be chosen by a message.
  Object.defineProperty(error, 'name', { value: wire.name, configurable: true })
  error.stack = stack
  return error
}
