import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Reporter, Vitest } from 'vitest/node'
import type { Edited } from '../protocol/messages.js'
import type { Run } from './run.js'

/** Tells the engine of each run of the tests and, in watch mode, of the edits before it. */
export class EditsReporter implements Reporter {
  readonly #run: Run
  #vitest: Vitest | undefined
  #trigger: string | undefined

  constructor(run: Run) {
    this.#run = run
  }

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  /** `trigger` is the last file that was edited, relative to the root; or what the user has asked for, in words. */
  onWatcherRerun(_: readonly string[], trigger?: string): void {
    this.#trigger = trigger
  }

  onTestRunStart(): Promise<void> {
    const trigger = this.#trigger
    this.#trigger = undefined
    return this.#run.started(this.#vitest ? editedIn(this.#vitest, trigger) : [])
  }
}

/** A file that no test imports, but which makes tests run by the config (`forceRerunTriggers`), is something that fixtures use. */
function editedIn({ config, watcher, state }: Vitest, trigger: string | undefined): Edited {
  const path = trigger === undefined ? undefined : resolve(config.root, trigger)
  if (path !== undefined && existsSync(path) && !watcher.invalidates.has(path) && !state.filesMap.has(path)) return 'something else'
  return [...watcher.invalidates]
}
