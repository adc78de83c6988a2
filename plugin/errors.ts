import { ThawError } from '../core/errors.js'

/** A fixture could not be defined, started, warmed up or handed out. */
export class FixtureError extends ThawError {
  override readonly name = 'FixtureError'
}

/** The process that keeps the snapshots is missing, or went away. */
export class EngineError extends ThawError {
  override readonly name = 'EngineError'
}
