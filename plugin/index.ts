/** The package: the plugin for the config, and what test files import. */
import { test as vitestTest } from 'vitest'
import { addWithSnapshot, type ThawTestAPI } from './worker/with-snapshot.js'

export { thaw as default, thaw } from './config/plugin.js'
export type { ThawOptions } from './config/options.js'
export { EngineError, FixtureError } from './errors.js'
export type { ThawMeta } from './meta.js'
export { defineFixture, type Fixture, type FixtureOptions, type WarmUp, type WarmUpTools } from './worker/fixture.js'
export type { Ready } from './worker/ready.js'
export type { Snapshot, SnapshotOf } from './worker/snapshot.js'
export type { Start, StartedServer, StartOptions } from './worker/start.js'
export type { ThawTestAPI } from './worker/with-snapshot.js'

/** Vitest's `test`, with `withSnapshot`. */
export const test: ThawTestAPI = addWithSnapshot(vitestTest)
