/** Everything below the init of a sandbox: commands, and what daemons have left to init. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost, type Sandbox } from '../../dist/core/index.js'
import { childrenOf, treeBelow } from '../../dist/core/proc/tree.js'

const nothing = openSync('/dev/null', 'r+')
const host = await openHost()
afterAll(async () => {
  await host[Symbol.asyncDispose]()
  await closeCheckpointPool()
  closeSync(nothing)
})

const last = (text: string): number => Number(text.trim().split(/\s+/).at(-1))

interface Place {
  readonly command: string
  readonly pid: number
  readonly group: number
  readonly session: number
}

/** All processes of a sandbox, by the ids that they know of. */
const placesIn = ({ initPid }: Sandbox): (Place & { readonly parent: string })[] =>
  treeBelow(childrenOf(initPid))
    .map((outer) => ({ ...placeOf(outer), parent: parentOf(outer, initPid) }))
    .toSorted((a, b) => a.pid - b.pid)

function placeOf(outer: number): Place {
  const status = readFileSync(`/proc/${outer}/status`, 'utf8')
  const id = (field: string): number => last(new RegExp(`^${field}:(.*)$`, 'm').exec(status)?.[1] ?? '')
  const words = readFileSync(`/proc/${outer}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  // Nothing is left of the words of a zombie, and for a moment one that executes a program has none.
  const command = /^State:\s+Z/m.test(status) ? `(${/^Name:\s+(.*)$/m.exec(status)?.[1]})` : words
  return { command, pid: id('NSpid'), group: id('NSpgid'), session: id('NSsid') }
}

function parentOf(outer: number, init: number): string {
  const parent = last(/^PPid:(.*)$/m.exec(readFileSync(`/proc/${outer}/status`, 'utf8'))?.[1] ?? '')
  return parent === init ? 'init' : placeOf(parent).command
}

interface Case {
  /** Each for a shell, in a session of its own. */
  readonly commands: readonly string[]
  readonly processes: number
}

const cases: Record<string, Case> = {
  'commands that have orphans in their sessions': {
    commands: ['exec sleep 1001', '(sleep 1002 &); exec sleep 1003', '(sleep 1004 &); exec sleep 1005'],
    processes: 5,
  },
  'daemons, whose sessions have lost their leaders, beside a command': {
    commands: ['setsid sh -c "sleep 1001 &"; setsid sh -c "sleep 1002 & sleep 1003 &"; exec sleep 1004'],
    processes: 4,
  },
  'nothing but daemons': { commands: ['setsid sh -c "sleep 1001 &"; setsid sh -c "sleep 1002 & sleep 1003 &"'], processes: 3 },
  'a single daemon, whose session and group have lost their leaders': {
    commands: [`setsid bash -c 'set -m; sh -c "sleep 1001 &" &'`],
    processes: 1,
  },
  'what commands that have ended left running': {
    commands: ['sleep 1001 &', 'sleep 1002 & sleep 1003 &', 'exec sleep 1004'],
    processes: 4,
  },
  'an orphan that init had before the leader of its session': {
    commands: ['setsid sh -c "(sleep 1001 &); exec sleep 1002" & sleep 0.2'],
    processes: 2,
  },
  'orphans of sessions that children of a command lead': {
    commands: ['setsid sh -c "(sleep 1001 & sleep 1002 &); (set -m; sleep 1003 &); exec sleep 1004" & exec sleep 1005'],
    processes: 5,
  },
  'orphans of a session that a zombie leads': {
    commands: ['setsid sh -c "sleep 1001 & (set -m; sleep 1002 &); exit 3" & exec sleep 1003'],
    processes: 4,
  },
  'a daemon with children, in a group of its own': {
    commands: [
      'setsid sh -c "set -m; sh -c \\"sleep 1001 & sleep 1002 & exec sleep 1003\\" &"; exec sleep 1004',
      'setsid sh -c \'setsid sh -c "sleep 1005 &" & sleep 1006 &\'',
    ],
    processes: 6,
  },
}

test.each(Object.entries(cases))('%s', async (_, { commands, processes }) => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  for (const command of commands) await sandbox.start('sh', ['-c', command], { stdio: [nothing, nothing, nothing] })
  const sleeping = [...commands.join(' ').matchAll(/sleep 1\d+/g)].length
  const settled = (): boolean => {
    const names = placesIn(sandbox).map(({ command }) => command)
    // One that ends, or becomes another program, has no words either.
    const all = names.filter((command) => command.startsWith('sleep 1')).length === sleeping
    return all && names.length === processes && names.every((command) => /^(sleep 1|\()/.test(command))
  }
  await expect.poll(settled, { interval: 10, timeout: 10_000 }).toBe(true)
  const before = placesIn(sandbox)

  await using image = (await checkpoint({ belowInit: sandbox.initPid }, { then: 'kill' })).image
  await using template = await image.load(host, { network: 'new' })
  for (let copies = 0; copies < 3; copies++) {
    await using copy = await template.spawn({ stdio: [nothing, nothing, nothing] })
    await expect.poll(() => placesIn(copy.sandbox), { interval: 10, timeout: 10_000 }).toEqual(before)
    await using again = (await checkpoint({ belowInit: copy.sandbox.initPid })).image
    await using second = await again.load(host, { network: 'new' })
    await using copyOfCopy = await second.spawn({ stdio: [nothing, nothing, nothing] })
    await expect.poll(() => placesIn(copyOfCopy.sandbox), { interval: 10, timeout: 10_000 }).toEqual(before)
  }
})

test('commands and orphans that end while they are looked at are left out', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  await sandbox.start('sleep', ['1000'], { stdio: [nothing, nothing, nothing] })
  await sandbox.start('sh', ['-c', 'while :; do (sleep 0.002 &); done'], { stdio: [nothing, nothing, nothing] })
  for (let i = 0; i < 40; i++) {
    await sandbox.start('true', [], { stdio: [nothing, nothing, nothing] })
    await using image = (await checkpoint({ belowInit: sandbox.initPid })).image
    expect(image.model.processes.map(({ threads }) => Buffer.from(threads[0]?.name ?? []).toString())).toEqual(
      expect.arrayContaining(['sleep', 'sh']),
    )
  }
})
