import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { noteSleep, RunQueueClocks, sleptOn } from '../../dist/core/checkpoint/sleep.js'
import type { Sleep } from '../../dist/core/checkpoint/sleep.js'
import { native } from '../../dist/native/index.js'

const CLOCK_MONOTONIC = 1
const CLOCK_NANOSLEEP = 230n
const now = (): bigint => native.clockGettime(CLOCK_MONOTONIC)
const since = ({ processor, at }: Sleep): bigint => new RunQueueClocks().of(processor)! + at
const inCall = (pid: number): string => readFileSync(`/proc/${pid}/syscall`, 'utf8').split(' ')[0] ?? ''

test('since when a process sleeps', async () => {
  const before = now()
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  const pid = child.pid!
  try {
    while (inCall(pid) !== `${CLOCK_NANOSLEEP}`) await sleep(1)
    const after = now()
    await sleep(500)
    const note = noteSleep(pid, pid)!
    expect(note.call).toBe(CLOCK_NANOSLEEP)
    expect(since(note)).toBeGreaterThan(before)
    // A few milliseconds for what other guests of the machine have taken.
    expect(since(note)).toBeLessThan(after + 5_000_000n)
    const [asleep, worked] = [
      { ...note, count: note.count - 1 },
      { ...note, count: note.count - 1, ran: note.ran - 1000n },
    ]
    expect(sleptOn(pid, pid, note, 1000n), 'it has not woken up for a freeze').toBe(false)
    expect(sleptOn(pid, pid, asleep, 0n)).toBe(true)
    expect(sleptOn(pid, pid, worked, 1000n), 'it has run since the interrupt').toBe(true)
    expect(sleptOn(pid, pid, worked, 999n), 'it has run before the interrupt').toBe(false)
  } finally {
    child.kill('SIGKILL')
  }
})

// What the rest of its time limit follows from: a call that ends late is late, one that ends early is wrong.
test('never before it went to sleep, also on a busy machine', async () => {
  const source = [
    'import signal, time',
    'signal.signal(signal.SIGUSR1, lambda *_: print(before, flush=True))',
    'before = time.monotonic_ns()',
    'time.sleep(60)',
  ].join('\n')
  const onLast = ['--cpu-list', String(cpus().length - 1)]
  const child = spawn('taskset', [...onLast, 'python3', '-c', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  const busy = [1, 2].map(() => spawn('taskset', [...onLast, 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }))
  const pid = child.pid!
  try {
    while (inCall(pid) !== `${CLOCK_NANOSLEEP}`) await sleep(1)
    const notes = Array.from({ length: 500 }, () => since(noteSleep(pid, pid)!))
    const said = new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGUSR1')
    const before = BigInt(String(await said))
    expect(notes.filter((note) => note < before)).toEqual([])
  } finally {
    for (const each of [child, ...busy]) each.kill('SIGKILL')
  }
})

test('a process that is in no call with a limit is not noted', () => {
  expect(noteSleep(process.pid, process.pid)).toBeUndefined()
})
