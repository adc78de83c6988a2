/** Events that were not read: what becomes of them in the process that is looked at, whatever happens meanwhile. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { childrenOf, isOver } from '../../dist/core/proc/tree.js'
import { joinEvents, type InotifyEvent } from '../../dist/core/resources/inotify/event.js'
import { inOrder } from '../../dist/core/resources/inotify/order.js'
import { FixtureProgram } from '../fixtures/program.ts'

const cli = new URL('../../dist/core/cli/main.js', import.meta.url).pathname

/** Of our own, so that nobody else leaves anything there. */
const folder = mkdtempSync(join(tmpdir(), 'unread-'))
process.env['TMPDIR'] = folder

afterAll(async () => {
  await closeCheckpointPool()
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
})

const OTHERS = 15
const PAUSE_MS = 200
const KILLS = 10

const event = (descriptor: number, mask: number, name = '', cookie = 0): InotifyEvent => ({
  descriptor,
  mask,
  cookie,
  name: Buffer.from(name),
})
const [create, remove, from, to, removedSelf, overflow, ignored] = [0x100, 0x200, 0x40, 0x80, 0x400, 0x4000, 0x8000]

test('what two queues have heard one after the other is told once', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => event(1, create, name)) as [
    InotifyEvent,
    InotifyEvent,
    InotifyEvent,
    InotifyEvent,
  ]
  expect(joinEvents([a, b, c], [b, c, d])).toEqual([a, b, c, d])
  expect(joinEvents([a, b], [c, d])).toEqual([a, b, c, d])
  expect(joinEvents([a], [a])).toEqual([a])
  expect(joinEvents([], [a])).toEqual([a])
  expect(joinEvents([a], [])).toEqual([a])
  expect(joinEvents([a, b], [a, b, c])).toEqual([a, b, c])
  expect(joinEvents([a, b, a, b], [a, b])).toEqual([a, b, a, b])
  expect(joinEvents([a, a, b, a, a], [a, a, b, a, c])).toEqual([a, a, b, a, a, b, a, c])
  expect(joinEvents([a, b, a, c], [a, b, a, d])).toEqual([a, b, a, c, a, b, a, d])
})

test('what happens at once is told of at once', () => {
  const other = event(3, create, 'x')
  const [first, second] = [event(1, from, 'a', 7), event(2, to, 'b', 7)]
  expect(inOrder([first, other, second])).toEqual([first, second, other])
  const [gone, end] = [event(1, removedSelf), event(1, ignored)]
  expect(inOrder([gone, event(2, ignored), end])).toEqual([gone, end, event(2, ignored)])
  // Cookies of another rename, and the end of another watch.
  const strangers = [first, event(2, to, 'b', 8), gone, event(2, ignored)]
  expect(inOrder(strangers)).toEqual(strangers)
  // As that makes neighbours of like ones.
  expect(inOrder([first, other, second, other])).toEqual([first, second, other])
  expect(inOrder([event(-1, overflow), other, event(-1, overflow), event(1, remove, 'x')])).toEqual([
    event(-1, overflow),
    other,
    event(1, remove, 'x'),
  ])
})

test.for(['inotify-unread', 'inotify-overflow'])('%s: a process that runs on has them as before', async (name, { skip }) => {
  await using program = await FixtureProgram.start(name)
  skip(program.skipped !== undefined, program.skipped)
  const watches = watchLines(program.pid)
  for (let i = 0; i < 3; i++) await checkpoint(program.pid)
  expect(watchLines(program.pid)).toEqual(watches)
  expect(await program.check()).toEqual(['ok'])
})

test('a dumper that is killed meanwhile does not keep them', { timeout: 120_000 }, async () => {
  for (let i = 0; i < KILLS; i++) {
    await using program = await FixtureProgram.start('inotify-unread')
    const images = join(program.folder, 'images')
    const dumper = spawn(process.execPath, [cli, 'dump', `${program.pid}`, '--images', images, '--leave-running'], { detached: true })
    const ended = once(dumper, 'exit')
    const taker = await takerOf(dumper.pid!)
    await sleep(i * 10)
    process.kill(-dumper.pid!, 'SIGKILL')
    await ended
    await gone(taker)
    expect(await program.check(), `killed after ${i * 10} ms`).toEqual(['ok'])
  }
})

test('what others do meanwhile is told of', async () => {
  await using program = await FixtureProgram.start('inotify-others', { args: [`${OTHERS}`] })
  const state = { isMade: false }
  const make = async (): Promise<void> => {
    for (let i = 0; i < OTHERS; i++) {
      closeSync(openSync(join(program.folder, 'watched', `${i}`), 'w'))
      await sleep(PAUSE_MS)
    }
    state.isMade = true
  }
  const made = make()
  while (!state.isMade) {
    const error: unknown = await checkpoint(program.pid).then(
      () => undefined,
      (error: unknown) => error,
    )
    // On a busy machine, where putting them back takes longer than others wait.
    if (error !== undefined) expect(error).toMatchObject({ code: 'THAW_INOTIFY_EVENTS' })
  }
  await made
  await checkpoint(program.pid)
  expect(await program.check()).toEqual(['ok'])
})

test('where others change all the time what is watched, it is refused, and the queue says that something was lost', async () => {
  await using program = await FixtureProgram.start('inotify-lost')
  const file = join(program.folder, 'watched/file')
  const writer = spawn('sh', ['-c', 'while :; do : > "$0"; : > "$0.other"; done', file])
  try {
    await expect(checkpoint(program.pid)).rejects.toMatchObject({
      code: 'THAW_INOTIFY_EVENTS',
      message: expect.stringMatching(/others change all the time/),
    })
  } finally {
    writer.kill('SIGKILL')
    await once(writer, 'exit')
  }
  expect(await program.check()).toEqual(['ok'])
})

test('what cannot be put back is refused, and the queue says that something was lost', async (context) => {
  const mounted = mkdtempSync(join(folder, 'mounted-'))
  try {
    if (spawnSync('mount', ['-t', 'tmpfs', 'none', mounted]).status !== 0) return context.skip('it takes a mount')
    await using program = await FixtureProgram.start('inotify-lost', { args: [mounted] })
    expect(spawnSync('umount', [mounted]).status).toBe(0)
    // Other mount namespaces of this machine may have it for as long as they are there.
    while (watchLines(program.pid).length > 1) await sleep(1)
    await expect(checkpoint(program.pid)).rejects.toMatchObject({
      code: 'THAW_INOTIFY_EVENTS',
      message: expect.stringMatching(/0x2000 cannot be put back/),
    })
    expect(await program.check()).toEqual(['ok'])
  } finally {
    rmSync(mounted, { recursive: true })
  }
})

/** What is watched, in any order. */
const watchLines = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fdinfo`)
    .flatMap((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').split('\n'))
    .filter((line) => line.startsWith('inotify wd:'))
    .toSorted()

/** The process that takes the events, once it runs. */
async function takerOf(dumper: number): Promise<number> {
  for (;;) {
    const taker = childrenOf(dumper).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('taker.js'))
    if (taker !== undefined) return taker
    await sleep(1)
  }
}

async function gone(pid: number): Promise<void> {
  while (!isOver(pid)) await sleep(1)
}
