/** The kernel tells no ordinary user by which path a watched folder is reached: it is looked for. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Counter, expectNothingLeft, Folder, ordinary, thaw, tool } from './harness.ts'

afterEach(expectNothingLeft)

const SERVICES = '/usr/share/dbus-1/services'

async function dumped(watched: string): Promise<{ status: number | null; stderr: string }> {
  using folder = new Folder()
  await using counter = await Counter.start(folder, tool('watcher'), { wrapper: ordinary, args: [watched] })
  const { status, stderr } = await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-running'], {
    wrapper: ordinary,
  })
  await counter.expectToGoOn()
  return { status, stderr }
}

test.skipIf(!existsSync(SERVICES))("a message bus's services", async () => {
  expect(await dumped(SERVICES)).toEqual({ status: 0, stderr: '' })
})

test.skipIf(ordinary.length === 0)('a folder that nothing of the program leads to', async () => {
  const elsewhere = mkdtempSync('/var/lib/thaw-test-')
  try {
    chmodSync(elsewhere, 0o755)
    mkdirSync(join(elsewhere, 'deep/watched'), { recursive: true })
    expect(await dumped(join(elsewhere, 'deep/watched'))).toEqual({ status: 0, stderr: '' })
  } finally {
    rmSync(elsewhere, { recursive: true })
  }
})
