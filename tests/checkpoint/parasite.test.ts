import { closeSync, openSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findGadgets } from '../../dist/core/checkpoint/gadgets.js'
import { Injection, readThread, wipe } from '../../dist/core/checkpoint/injection.js'
import { homeCalls, ParasiteProgram, runParasite } from '../../dist/core/checkpoint/parasite.js'
import { claimScratch } from '../../dist/core/checkpoint/scratch.js'
import { SeizedProcess, SIGTRAP } from '../../dist/core/checkpoint/seize.js'
import { RunQueueClocks } from '../../dist/core/checkpoint/sleep.js'
import { findHole } from '../../dist/core/checkpoint/space.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import { field, readStatus } from '../../dist/core/proc/status.js'
import { native } from '../../dist/native/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

const SIGURG = 23
const REGION_BYTES = 1n << 20n

/** Runs a program in the process that asks for its pid, and tells by the signal that it is done. */
function askForPid(pid: number, signal: number | undefined): bigint {
  const seized = new SeizedProcess(pid, new RunQueueClocks())
  const [memFd, pagemapFd] = [openSync(`/proc/${pid}/mem`, 'r+'), openSync(`/proc/${pid}/pagemap`, 'r')]
  try {
    seized.seize()
    const state = readThread(pid, SIGTRAP)
    const lines = readMappings(pid)
    const scratch = claimScratch({ pid, name: 'target' }, { memFd, pagemapFd, lines }, [state])
    const injection = new Injection(state, findGadgets(memFd, lines)!, scratch)
    const program = new ParasiteProgram(findHole(lines, REGION_BYTES))
    const answer = program.main.call('getpid')
    program.finish(injection.home, signal)
    injection.begin(homeCalls(program.entry, program.sizeBytes))
    try {
      return runParasite(injection, program, memFd, (results) => results.cell(answer))
    } finally {
      injection.end()
      wipe(scratch)
    }
  } finally {
    seized.release()
    closeSync(memFd)
    closeSync(pagemapFd)
  }
}

function waits(pid: number): boolean {
  const [ofThread = 0n, ofProcess = 0n] = ['SigPnd', 'ShdPnd'].map((name) => BigInt(`0x${field(readStatus(pid), name)}`))
  return ((ofThread | ofProcess) & (1n << BigInt(SIGURG - 1))) !== 0n
}

test('a parasite tells that it is done, by a signal or by a call', async () => {
  await using program = await FixtureProgram.start('signal-mask')
  for (const signal of [SIGURG, undefined]) expect(askForPid(program.pid, signal)).toBe(BigInt(program.pid))
  expect(waits(program.pid)).toBe(false)
  expect(await program.check()).toEqual(['ok'])
})

test('it tells so where no signal may be queued', async () => {
  await using program = await FixtureProgram.start('alarm-pending')
  const RLIMIT_SIGPENDING = 11
  native.syscall('prlimit64', [program.pid, RLIMIT_SIGPENDING, new Uint8Array(16), 0])
  expect(askForPid(program.pid, SIGURG)).toBe(BigInt(program.pid))
  expect(waits(program.pid)).toBe(false)
  expect(await program.check()).toEqual(['ok'])
})

test('a signal of the same number that waits goes on waiting', async () => {
  // It blocks all signals.
  await using program = await FixtureProgram.start('alarm-pending')
  for (let i = 0; i < 20; i++) {
    expect(askForPid(program.pid, SIGURG)).toBe(BigInt(program.pid))
    expect(waits(program.pid)).toBe(i > 0)
    native.kill(program.pid, SIGURG)
  }
  expect(await program.check()).toEqual(['ok'])
})

test.each(['nanosleep', 'poll', 'futex'])('a program that would cost the process what it is to go on with is refused: %s', (name) => {
  const program = new ParasiteProgram(1n << 45n)
  program.main.call(name, [0, 0, 0], 'any')
  expect(() => program.finish(0n, SIGURG)).toThrow(name)
})
