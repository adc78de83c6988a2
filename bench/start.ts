/** A program, started in a sandbox with a network of its own: no child of the bench, and with a session to itself. */
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Host, Sandbox, StartedProcess } from '../dist/core/index.js'
import type { Connect, Place, Program } from './programs/program.ts'

export interface Started extends AsyncDisposable {
  readonly process: StartedProcess
  readonly connect: Connect
  /** From the start of the program until it did its work. */
  readonly coldMs: number
}

export async function start(host: Host, program: Program, place: Place): Promise<Started> {
  const sandbox = await host.createSandbox({ network: 'new' })
  try {
    const connect = connectionsTo(sandbox)
    const stdout = join(place.folder, 'stdout')
    const started = performance.now()
    const process = await startIn(sandbox, program, place, stdout)
    const failed = process.exited.then((status) => {
      throw new Error(`${program.name} ended before it was ready: ${JSON.stringify(status)}`)
    })
    failed.catch(() => {}) // Later it may end as it likes.
    await Promise.race([program.ready(connect, place, stdout), failed])
    return { process, connect, coldMs: performance.now() - started, [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose]() }
  } catch (error) {
    await sandbox[Symbol.asyncDispose]()
    throw error
  }
}

export function connectionsTo(sandbox: Sandbox): Connect {
  return async (port) => new Socket({ fd: await sandbox.connect(port) })
}

async function startIn(sandbox: Sandbox, program: Program, place: Place, stdout: string): Promise<StartedProcess> {
  const { command, args, cwd, env } = program.command(place)
  const nothing = openSync('/dev/null', 'r+')
  const output = openSync(stdout, 'a')
  try {
    return await sandbox.start(command, args, { cwd, env, stdio: [nothing, output, nothing] })
  } finally {
    closeSync(nothing)
    closeSync(output)
  }
}
