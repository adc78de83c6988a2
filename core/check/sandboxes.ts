/** Namespaces, and the whole way: a small program checkpointed and restored. */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../native/index.js'
import { checkpoint, closeCheckpointPool } from '../checkpoint/run.js'
import { findProgram } from '../sandbox/command.js'
import { killIfAlive, untilDead } from '../sandbox/death.js'
import { openHost } from '../sandbox/host.js'
import type { Feature } from './feature.js'

const SIGKILL = 9

const namespaces: Feature = {
  name: 'namespaces (pid, mount, ipc, uts, time, net)',
  neededFor: 'restore',
  async probe() {
    await using host = await openHost()
    await using _sandbox = await host.createSandbox({ network: 'new' })
  },
}

const roundTrip: Feature = {
  name: 'a checkpoint and a restore of sleep',
  neededFor: 'everything',
  async probe() {
    const nothing = openSync('/dev/null', 'r+')
    const program = findProgram({ command: 'sleep', args: [], directory: '/', environment: process.env })
    const { pid, pidfd } = native.spawnProcess(program, ['60'], [nothing, nothing, nothing])
    try {
      return await bringBack(pid, nothing)
    } finally {
      killIfAlive(pidfd, SIGKILL)
      await untilDead(pidfd)
      native.reap(pid)
      for (const fd of [pidfd, nothing]) closeSync(fd)
      await closeCheckpointPool()
    }
  },
}

async function bringBack(pid: number, nothing: number): Promise<string> {
  await using image = (await checkpoint(pid, { then: 'resume', shellJob: true })).image
  await using host = await openHost()
  await using template = await image.load(host, { network: 'new' })
  await using instance = await template.spawn({ stdio: [nothing, nothing, nothing] })
  return `restored in ${instance.timings.restoreMs.toFixed(1)} ms`
}

export const sandboxFeatures: readonly Feature[] = [namespaces, roundTrip]
