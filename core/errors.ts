/**
 * Errors that reach users say what failed, on what, why, and what to do. Each carries a stable `code`.
 */

/** Where an error came from, as far as it is known. `errno` is positive. */
export interface ErrorDetails {
  readonly pid?: number
  readonly syscall?: string
  readonly errno?: number
  readonly path?: string
  readonly cause?: unknown
}

export class ThawError extends Error {
  override readonly name: string = 'ThawError'
  readonly code: string
  readonly pid?: number
  readonly syscall?: string
  readonly errno?: number
  readonly path?: string

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause })
    this.code = code
    if (details.pid !== undefined) this.pid = details.pid
    if (details.syscall !== undefined) this.syscall = details.syscall
    if (details.errno !== undefined) this.errno = details.errno
    if (details.path !== undefined) this.path = details.path
  }
}

/** A checkpoint failed; the target runs on as before. */
export class CheckpointError extends ThawError {
  override readonly name = 'CheckpointError'
}

/** A restore failed; nothing of it is left. */
export class RestoreError extends ThawError {
  override readonly name = 'RestoreError'
}

/** This machine or this process cannot be supported; found before anything was frozen. */
export class UnsupportedError extends ThawError {
  override readonly name = 'UnsupportedError'
}

/** An image is missing, damaged, or of another machine. */
export class ImageError extends ThawError {
  override readonly name = 'ImageError'
}

/** The sandbox's namespaces or processes could not be made. */
export class SandboxError extends ThawError {
  override readonly name = 'SandboxError'
}
