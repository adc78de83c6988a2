/** Files on the /dev/shm of a sandbox: each copy has its own, as they were. */
import { closeSync, constants, existsSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkpoint, UnsupportedError } from '../../dist/core/index.js'
import { Folder, Running, sharedHost } from '../programs/running.ts'

const host = sharedHost()
const fixture = fileURLToPath(new URL('../../build/Release/fixtures/memory-files', import.meta.url))

async function start(folder: Folder, command: string, args: readonly string[], ready: () => boolean): Promise<Running> {
  const running = await Running.start(await host(), folder, command, args)
  await expect.poll(ready, { interval: 10, timeout: 10_000 }).toBe(true)
  return running
}

test('each copy has the files as they were, whatever another copy does to its own', async () => {
  const before = readdirSync('/dev/shm').filter((name) => name.includes('thaw'))
  using folder = new Folder()
  await using original = await start(folder, fixture, [folder.file('trigger'), folder.file('report')], () =>
    folder.text('output').includes('ready'),
  )
  await using image = await original.become()
  await using _first = await image.restore()
  await using _second = await image.restore()
  await using _copyOfCopy = await (await image.restore()).comeBack()
  writeFileSync(folder.file('trigger'), '')
  // Open until all have come by, whenever each of them does.
  const fifo = openSync(folder.file('trigger.fifo'), constants.O_RDWR)
  await expect.poll(() => folder.text('report'), { interval: 10, timeout: 20_000 }).toMatch(/^(.*\n){3}/)
  closeSync(fifo)
  expect(folder.text('report')).toBe('ok\nok\nok\n')
  expect(readdirSync('/dev/shm').filter((name) => name.includes('thaw'))).toEqual(before)
})

test('an empty one is empty in each copy, too, and its own', async () => {
  using folder = new Folder()
  await using original = await start(folder, 'sh', ['-c', 'touch ready; exec sleep 1000'], () => existsSync(folder.file('ready')))
  await using image = await original.become()
  await using first = await image.restore()
  await using second = await image.restore()
  const shm = ({ pid }: Running): string => `/proc/${pid}/root/dev/shm`
  writeFileSync(`${shm(first)}/thaw-mine`, '')
  expect(readdirSync(shm(first))).toEqual(['thaw-mine'])
  expect(readdirSync(shm(second))).toEqual([])
  expect(readdirSync('/dev/shm')).not.toContain('thaw-mine')
})

test.each([
  [
    'open("/dev/shm/private", "w+b").write(b"x" * 8192); f = open("/dev/shm/private", "r+b"); m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE)',
    '/dev/shm/private, in its sandbox, is mapped privately',
  ],
  [
    'open("/dev/shm/marked", "w"); os.setxattr("/dev/shm/marked", "user.colour", b"red")',
    '/dev/shm/marked, in its sandbox, has extended attributes (user.colour)',
  ],
  ['os.mknod("/dev/shm/device", 0o20600, os.makedev(1, 3))', '/dev/shm/device, in its sandbox, is a device'],
])('refused by name: %s', async (lines, message) => {
  using folder = new Folder()
  const script = `import mmap, os, signal\n${lines}\nopen("ready", "w").close()\nsignal.pause()`
  await using original = await start(folder, 'python3', ['-c', script], () => existsSync(folder.file('ready')))
  const error: unknown = await checkpoint(original.pid).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UnsupportedError)
  expect(error).toMatchObject({ code: 'THAW_MEMORY_FILE', message: expect.stringContaining(message) })
})
