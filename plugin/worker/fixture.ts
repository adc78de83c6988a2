import { FixtureError } from '../errors.js'
import { checkTimeout } from '../timeout.js'
import type { Start } from './start.js'

/** What a warm-up gets. */
export interface WarmUpTools {
  readonly start: Start
}

export type WarmUp<Value> = (tools: WarmUpTools) => Value | Promise<Value>

export interface FixtureOptions {
  /** How long the warm-up may take in all, in milliseconds; `0` or `Infinity` is no limit. Default: the plugin's `warmUpTimeoutMs`. */
  readonly warmUpTimeoutMs?: number
}

/** A fixture as `defineFixture` returns it, for `test.withSnapshot`. */
export interface Fixture<Name extends string = string, Value = unknown> {
  readonly name: Name
  readonly warmUp: WarmUp<Value>
  readonly options: FixtureOptions
  /** Stack frames of the definition: the place to show for an error that has no better one. */
  readonly definedAt: string
}

/** Fixtures of a test context that are Vitest's own. */
const RESERVED = new Set(['task', 'signal', 'expect', 'skip', 'annotate', 'bench', 'onTestFailed', 'onTestFinished'])

/**
 * Defines a fixture by what makes it ready: `warmUp` starts a server, seeds it, and returns what tests want to know, which has to be
 * something that can be cloned. It runs once per run, in the first worker that needs it; each test then gets a copy of what was started.
 *
 * @throws {FixtureError} `THAW_NAME_RESERVED`, or `THAW_TIMEOUT` for a time that no timer can have
 */
export function defineFixture<const Name extends string, Value = void>(
  name: Name,
  warmUp: WarmUp<Value>,
  options: FixtureOptions = {},
): Fixture<Name, Value> {
  if (typeof name !== 'string' || name === '')
    throw new TypeError('defineFixture(name, warmUp): the name is a string, by which tests ask for it.')
  if (typeof warmUp !== 'function') throw new TypeError(`defineFixture('${name}', warmUp): warmUp is a function that starts something.`)
  if (RESERVED.has(name))
    throw new FixtureError('THAW_NAME_RESERVED', `A fixture cannot be called "${name}": tests have something of that name already.`)
  checkTimeout(`defineFixture('${name}', …, { warmUpTimeoutMs })`, options.warmUpTimeoutMs)
  const here: { stack?: string } = {}
  Error.captureStackTrace(here, defineFixture)
  return { name, warmUp, options, definedAt: here.stack?.split('\n').slice(1).join('\n') ?? '' }
}
