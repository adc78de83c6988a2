import { serialize } from 'node:v8'
import { FixtureError } from '../errors.js'
import { toWire } from '../protocol/errors.js'
import { isLimit } from '../timeout.js'
import type { PlaceId } from '../protocol/messages.js'
import type { EngineClient } from './engine-client.js'
import type { Fixture } from './fixture.js'
import { Network } from './network.js'
import type { Output } from './output.js'
import { SNAPSHOT_MEMBERS } from './snapshot.js'
import { startIn } from './start.js'

const { setTimeout, clearTimeout } = globalThis

/** Runs a fixture's warm-up in `place` and has the snapshot made of it. Whatever fails, fails for every test that waits for the fixture. */
export async function runWarmUp(fixture: Fixture, place: PlaceId, timeoutMs: number, engine: EngineClient): Promise<void> {
  const outputs: Output[] = []
  try {
    const value = await warmUp(fixture, place, timeoutMs, engine, outputs)
    // Its output is still open: without a reader, the pipe would be in the snapshot as a broken one.
    await engine.call('warmed', { place, value })
  } finally {
    for (const output of outputs) output.close()
  }
}

async function warmUp(fixture: Fixture, place: PlaceId, timeoutMs: number, engine: EngineClient, outputs: Output[]): Promise<string> {
  const network = new Network(engine, place)
  try {
    const start = startIn(place, engine, network, outputs)
    return serialized(fixture, await within(timeoutMs, fixture.name, async () => fixture.warmUp({ start })))
  } catch (cause) {
    const error = failure(fixture, cause)
    await engine.call('warm-up-failed', { place, error: toWire(error) })
    throw error
  } finally {
    // Our ends of connections are not part of the fixture: they must be gone before the checkpoint.
    await network.close()
  }
}

function failure({ name, definedAt }: Fixture, cause: unknown): FixtureError {
  const { code, message } = toWire(cause)
  const ours = code?.startsWith('THAW_') ? code : 'THAW_WARM_UP_FAILED'
  const error = new FixtureError(ours, `The warm-up of fixture "${name}" failed: ${message}`, { cause })
  error.stack = `${error.name}: ${error.message}\n${definedAt}`
  return error
}

/** What the warm-up returned, as bytes. Its properties will be on the object that tests get, beside the snapshot's own. */
function serialized(fixture: Fixture, value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    const taken = Object.keys(value).find((key) => SNAPSHOT_MEMBERS.has(key))
    if (taken)
      throw new FixtureError('THAW_NAME_RESERVED', `it returns a property "${taken}", but "${fixture.name}.${taken}" is something else`)
  }
  try {
    return serialize(value).toString('base64')
  } catch (cause) {
    throw new FixtureError('THAW_NOT_CLONEABLE', 'what it returns is kept with the snapshot, and this cannot be cloned', { cause })
  }
}

async function within<Value>(timeoutMs: number, name: string, work: () => Promise<Value>): Promise<Value> {
  if (!isLimit(timeoutMs)) return work()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `it was not done after ${timeoutMs} ms; defineFixture('${name}', …, { warmUpTimeoutMs }) gives it longer`
      reject(new FixtureError('THAW_WARM_UP_TIMEOUT', message))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}
