/**
 * The engine: the process that keeps snapshots and makes copies of them, for all workers of a run.
 *
 * It is started below `thaw-init supervise`, which ends it when the lifeline to Vitest breaks. So it may ignore the
 * signals that a terminal or a process manager sends to everybody: Vitest decides when it is over.
 */
import { closeSync, writeSync } from 'node:fs'
import { Engine } from './engine.js'
import { listen } from './server.js'

/** Vitest waits on this descriptor for a first byte. */
const READY = 3

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const { THAW_ENGINE_NAME: name, THAW_ENGINE_TOKEN: token } = process.env
if (!name || !token) throw new Error('The engine is started by the Vitest plugin, not by hand.')

await listen(`\0${name}`, token, new Engine())
writeSync(READY, 'ready\n')
closeSync(READY)
