import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { unheardSignal } from '../../dist/core/checkpoint/unheard-signal.js'

const [SIGHUP, SIGURG, SIGWINCH] = [1, 23, 28]
const bit = (signal: number): bigint => 1n << BigInt(signal - 1)

/** A Python program that has set its signals, and sleeps. */
async function unheardOf(setUp: string, signalMask = 0n): Promise<number | undefined> {
  // Signals that the tests ignore, Python's own too, are not inherited.
  const start = 'import os, signal, time\nfor s in range(1, 65):\n  if s not in (9, 19, 32, 33): signal.signal(s, signal.SIG_DFL)\n'
  const child = spawn('python3', ['-c', `${start}${setUp}\nprint("ready", flush=True)\ntime.sleep(60)`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = child.pid!
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    while (!readFileSync(`/proc/${pid}/wchan`, 'utf8').includes('nanosleep')) await sleep(1)
    return unheardSignal(pid, [{ tid: pid, signalMask }])
  } finally {
    child.kill('SIGKILL')
  }
}

test('one that is ignored from the start', async () => {
  expect(await unheardOf('')).toBe(SIGURG)
})

test('not one that is handled', async () => {
  expect(await unheardOf('signal.signal(signal.SIGURG, lambda *_: 0)')).toBe(SIGWINCH)
})

test('rather not one that is blocked', async () => {
  expect(await unheardOf('', bit(SIGURG))).toBe(SIGWINCH)
  expect(await unheardOf('', 2n ** 64n - 1n)).toBe(SIGURG)
})

test('not one that is pending', async () => {
  const pending = 'signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG]); os.kill(os.getpid(), signal.SIGURG)'
  expect(await unheardOf(pending, 0n)).toBe(SIGWINCH)
})

test('one that the program ignores', async () => {
  expect(await unheardOf('signal.signal(signal.SIGHUP, signal.SIG_IGN)')).toBe(SIGHUP)
})

test('none', async () => {
  expect(await unheardOf('for s in (23, 28): signal.signal(s, lambda *_: 0)')).toBeUndefined()
})
