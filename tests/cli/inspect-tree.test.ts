/** What `thaw inspect` shows of whole trees, each taken from a fixture program, which ends. */
import { expect, test } from 'vitest'
import { FixtureProgram } from '../fixtures/program.ts'
import { Folder, thaw } from './harness.ts'

/** Pids are told as P0, P1, …, in the order in which they come. */
async function inspected(name: string): Promise<string[]> {
  using folder = new Folder()
  await using program = await FixtureProgram.start(name)
  const images = folder.file('images')
  const dumped = await thaw(['dump', String(program.pid), '--images', images])
  expect(dumped).toMatchObject({ status: 0, stderr: '' })
  const { stdout } = await thaw(['inspect', images])
  const lines = stdout.replaceAll(program.folder, 'FOLDER').split('\n')
  const pids = lines.flatMap((line) => /^ {2}[ │├└─]*(\d+) \S+/.exec(line)?.[1] ?? [])
  return lines.map((line) => line.replaceAll(/\b\d+\b/g, (number) => (pids.includes(number) ? `P${pids.indexOf(number)}` : number)))
}

const until = (lines: readonly string[], from: string, to: string): string[] => lines.slice(lines.indexOf(from), lines.indexOf(to))

test('sessions and process groups, also of leaders that have ended', async () => {
  const lines = await inspected('sessions')
  const tree = until(lines, 'tree: 10 processes, 10 threads', 'shared memory').map((line) =>
    line.replace(/process group \d+/, 'process group GONE'),
  )
  expect(tree).toEqual([
    'tree: 10 processes, 10 threads',
    '  P0 sessions  leads a session',
    '  ├─ P1 sessions  leads a session',
    '  │  ├─ P2 sessions',
    '  │  └─ P3 sessions  leads a process group',
    '  ├─ P4 sessions  leads a process group',
    '  ├─ P5 sessions  process group P4',
    '  ├─ P6 sessions  process group GONE',
    '  ├─ P7 sessions  process group GONE',
    '  └─ P8 sessions  leads a session',
    '     └─ P9 sessions  session P0  process group P0',
  ])
  expect(lines).toContain('  parent       P8, process group P0, session P0')
})

test('zombies, with how they ended', async () => {
  const lines = await inspected('zombies')
  expect(until(lines, 'tree: 1 process, 1 thread, 5 zombies', 'pid P0 (zombies)')).toEqual([
    'tree: 1 process, 1 thread, 5 zombies',
    '  P0 zombies  leads a session',
    expect.stringMatching(/^ {2}├─ P1 zombies {2}process group \d+ {2}zombie, exited with 7$/),
    '  ├─ P2 zombies  zombie, exited with 0',
    '  ├─ P3 zombies  leads a session  zombie, exited with 3',
    '  ├─ P4 a\\nzombi\\ééé\uFFFD  zombie, killed by SIGKILL',
    '  └─ P5 zombies  zombie, killed by SIGTERM',
    '',
  ])
})

test('memory and open files that processes share', async () => {
  const lines = await inspected('shared-memory')
  const shared = until(lines, 'shared memory', 'pid P0 (shared-memory)')
  expect(shared).toContainEqual(expect.stringMatching(/^ {2}2\.46 MB, \d+ kB kept: pid P0, pid P1, pid P2$/))
  expect(shared).toContain('shared open files')
  expect(shared).toContainEqual(expect.stringMatching(/^ {2}character device {2}\/dev\/null: pid P0 as 0, pid P1 as 0, pid P2 as 0$/))
  expect(shared).toContainEqual(expect.stringMatching(/FOLDER\/output .*: pid P0 as 1 and 2, pid P1 as 1 and 2, pid P2 as 1 and 2$/))
})
