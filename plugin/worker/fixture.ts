import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FixtureError } from '../errors.js'
import type { FixtureIdentity } from '../protocol/messages.js'
import { mayCapture } from './captures.js'
import type { Start } from './start.js'

/** What a warm-up gets. */
export interface WarmUpTools {
  readonly start: Start
}

export type WarmUp<Value> = (tools: WarmUpTools) => Value | Promise<Value>

export interface FixtureOptions {
  /** How long the warm-up may take in all, in milliseconds. Default: the plugin's `warmUpTimeoutMs`. */
  readonly warmUpTimeoutMs?: number
}

/** A fixture as `defineFixture` returns it, for `test.withSnapshot`. */
export interface Fixture<Name extends string = string, Value = unknown> {
  readonly name: Name
  readonly warmUp: WarmUp<Value>
  readonly options: FixtureOptions
  readonly identity: FixtureIdentity
  /** Stack frames of the definition: the place to show for an error that has no better one. */
  readonly definedAt: string
}

/** Fixtures of a test context that are Vitest's own. */
const RESERVED = new Set(['task', 'signal', 'expect', 'skip', 'annotate', 'bench', 'onTestFailed', 'onTestFinished'])

/**
 * Defines a fixture by what makes it ready: `warmUp` starts a server, seeds it, and returns what tests want to know, which has to be
 * something that can be cloned. It runs once per run, in the first worker that needs it; each test then gets a copy of what was started.
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
  const definedAt = framesOfCaller()
  return { name, warmUp, options, identity: identify(name, warmUp.toString(), fileOf(definedAt)), definedAt }
}

/**
 * The same text in two files is the same fixture, so that a definition may stand in each test file. Not if it uses names of the file
 * around it, which may mean something else there.
 */
function identify(name: string, source: string, file: string): FixtureIdentity {
  const sourceHash = createHash('sha256').update(source).digest('hex')
  return { name, file, scope: mayCapture(source) ? file : dirname(file), sourceHash }
}

function framesOfCaller(): string {
  const here: { stack?: string } = {}
  Error.captureStackTrace(here, defineFixture)
  return here.stack?.split('\n').slice(1).join('\n') ?? ''
}

/** The file of the first frame: part of what a name stands for. */
function fileOf(frames: string): string {
  const match = /(file:\/\/\/|\/)(.*?)(\?[^:]*)?:\d+:\d+\)?$/m.exec(frames)
  if (!match) return ''
  return match[1] === '/' ? `/${match[2]}` : fileURLToPath(`file:///${match[2]}`)
}
