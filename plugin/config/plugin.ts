import { fileURLToPath } from 'node:url'
// With it comes the type of `configureVitest`.
import type { Plugin, ViteUserConfig } from 'vitest/config'
import type { Vitest } from 'vitest/node'
import { EditsReporter } from './edits.js'
import { checkTimeout, isLimit } from '../timeout.js'
import type { ThawOptions } from './options.js'
import { Run } from './run.js'
import { SummaryReporter } from './summary.js'

const SETUP_FILE = fileURLToPath(new URL('../setup.js', import.meta.url))

/** One run per Vitest, however many projects it has. In watch mode a new one after each edit of the config, for which Vitest closes. */
const runs = new WeakMap<Vitest, Promise<Run>>()

/**
 * The Vitest plugin: `export default defineConfig({ plugins: [thaw()] })`.
 *
 * It starts nothing by itself. The process that keeps snapshots is started when the first test needs one, and ends with Vitest.
 *
 * @throws {FixtureError} `THAW_TIMEOUT` for a time that no timer can have
 */
export function thaw({ warmUpTimeoutMs = 120_000 }: ThawOptions = {}): Plugin {
  checkTimeout('thaw({ warmUpTimeoutMs })', warmUpTimeoutMs)
  return {
    name: 'vitest-thaw',
    config: reloadSetupFile,
    async configureVitest({ project, vitest }) {
      // Tests in a browser have no processes to restore.
      if (project.config.browser.enabled) return
      let run = runs.get(vitest)
      if (!run) {
        run = openRun(vitest)
        runs.set(vitest, run)
      }
      if (!project.config.setupFiles.includes(SETUP_FILE)) project.config.setupFiles.unshift(SETUP_FILE)
      project.provide('vitest-thaw', {
        ...(await run).rendezvous,
        // Infinity does not come through: what is provided travels as JSON.
        warmUpTimeoutMs: isLimit(warmUpTimeoutMs) ? warmUpTimeoutMs : 0,
        root: project.config.root,
        project: project.name,
        globalsPerFile: project.config.pool.startsWith('vm'),
        hooksAtOnce: project.config.sequence.hooks === 'parallel',
      })
    },
  }
}

/**
 * Vitest loads setup files anew for each test file, where it knows of them before it asks plugins. Of this one it does not, and Node
 * would load it once per worker.
 */
function reloadSetupFile(config: ViteUserConfig): ViteUserConfig {
  if (config.test?.server?.deps?.inline === true) return {}
  return { test: { server: { deps: { inline: [new RegExp(`${SETUP_FILE.replaceAll(/[^\w/]/g, '\\$&')}$`)] } } } }
}

async function openRun(vitest: Vitest): Promise<Run> {
  const run = await Run.open()
  vitest.config.reporters.push(new EditsReporter(run) as never, new SummaryReporter(run) as never)
  vitest.onClose(() => {
    // At once: Vitest may go on with another config, under the same object. And only if this is what has just ended: it calls
    // for those that ended before, too.
    if (!run.closed) runs.delete(vitest)
    return run.close()
  })
  return run
}
