/** fs.watch and fs.watchFile: what changes after the restore is told, and the restore itself is not. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { COPIES, Folder, Running, sharedHost, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/node-watch.mjs', import.meta.url))
const main = fileURLToPath(new URL('../../dist/core/cli/main.js', import.meta.url))

async function start(folder: Folder, node: string): Promise<Running> {
  const running = await Running.start(await host(), folder, node, [program, folder.file('trigger'), folder.file('report')])
  await untilReady(folder)
  return running
}

for (const [name, node] of Object.entries(nodes)) {
  test(`${name}: watches go on, and again`, async ({ skip }) => {
    skip(missing(node) !== undefined, missing(node))
    using folder = new Folder()
    let running = await start(folder, node)
    try {
      // Each a copy of the one before: what one would change, the next would see changed.
      for (let i = 0; i < COPIES; i++) running = await running.comeBack()
      expect(await running.check()).toEqual(['ok'])
    } finally {
      await running[Symbol.asyncDispose]()
    }
  })
}

test('without the right to ask for the path of an inode, it is looked for', async ({ skip }) => {
  const limited = ['--bounding-set=-dac_read_search', process.execPath, main, 'dump']
  const cannot = missing('setpriv') ?? (process.getuid?.() === 0 ? undefined : 'only root has that right')
  skip(cannot !== undefined, cannot)
  using folder = new Folder()
  await using original = await start(folder, nodes['Node 24'] ?? '')
  const dump = spawnSync('setpriv', [...limited, `${original.pid}`, '--images', folder.file('image'), '--leave-running'], {
    encoding: 'utf8',
  })
  expect(dump.stderr).toBe('')
  expect(dump.status).toBe(0)
  const inspect = spawnSync(process.execPath, [main, 'inspect', folder.file('image')], { encoding: 'utf8' })
  expect(inspect.stdout).toMatch(/inotify {2}6 watches/)
  expect(await original.check()).toEqual(['ok'])
})
