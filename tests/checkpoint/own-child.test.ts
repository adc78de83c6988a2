/** Children of the process that calls `checkpoint`: those that Node waits for are refused, those that the engine has made are not. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

const refusal = {
  name: 'UnsupportedError',
  code: 'THAW_OWN_CHILD',
  message: expect.stringMatching(/started by node:child_process.*sandbox.*shell/),
}
/** Descriptors that whoever runs the tests has let slip through are closed: the refusal of one would come in time. */
const PROGRAM = 'for fd in /proc/self/fd/*; do ((${fd##*/} > 2)) && eval "exec ${fd##*/}>&-"; done; exec sleep 60'
const ARGUMENTS = ['bash', ['-c', PROGRAM], { stdio: 'ignore', detached: true }] as const

test('of node:child_process', async () => {
  const child = spawn(...ARGUMENTS)
  // Nobody need wait for its end: libuv does.
  child.unref()
  const ended = once(child, 'exit')
  try {
    for (let i = 0; i < 3; i++) await expect(checkpoint(child.pid!)).rejects.toMatchObject({ ...refusal, pid: child.pid! })
    expect(child.exitCode).toBeNull()
  } finally {
    child.kill('SIGKILL')
  }
  expect(await ended).toEqual([null, 'SIGKILL'])
})

test('of node:child_process in a worker', async () => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    const child = require('node:child_process').spawn(...workerData)
    parentPort.postMessage(child.pid)`
  const worker = new Worker(source, { eval: true, workerData: ARGUMENTS })
  const [pid] = (await once(worker, 'message')) as [number]
  try {
    await expect(checkpoint(pid)).rejects.toMatchObject({ ...refusal, pid })
  } finally {
    process.kill(pid, 'SIGKILL')
    await once(worker, 'exit')
  }
})

test('of the engine', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root chooses pids')
  await using program = await FixtureProgram.start('idle')
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  for (let turns = 0; existsSync(`/proc/${program.pid}`) && turns < 500; turns++) await sleep(10)
  const nothing = openSync('/dev/null', 'r+')
  await using host = await openHost()
  await using template = await image.load(host, { network: 'host', pidNamespace: 'current' })
  await using copy = await template.spawn({ stdio: [nothing, nothing, nothing] })
  closeSync(nothing)
  await using _again = (await checkpoint(copy.pid)).image
  expect(await program.check()).toEqual(['ok'])
})
