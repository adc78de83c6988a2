/** CRIU, for comparison, where there is one: of the same program, without a sandbox, since it makes no namespaces for a program without. */
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { spawn, type ChildProcess } from 'node:child_process'
import { connect as connectTo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { newPlace } from './place.ts'
import type { Connect, Place, Program } from './programs/program.ts'
import type { CriuResult } from './result.ts'
import { median, timeOf } from './statistics.ts'

const REPEATS = 5
const TIMEOUT_MS = 60_000

export async function measureCriu(program: Program): Promise<CriuResult> {
  const check = await execa('criu', ['check'], { reject: false, timeout: TIMEOUT_MS })
  if (check.code === 'ENOENT') return { error: 'not here' }
  if (check.exitCode !== 0) return { error: `cannot: ${complaint(`${check.stdout}\n${check.stderr}`)}` }
  using place = await newPlace()
  let root: Root | undefined
  try {
    root = await startOnHost(program, place)
    return await dumpAndRestore(root.pid, program, place)
  } catch (error) {
    return { error: `cannot: ${(error as Error).message}` }
  } finally {
    if (root) await end(root)
  }
}

interface Root {
  readonly pid: number
  readonly child: ChildProcess
}

const connectOnHost: Connect = async (port) => {
  const socket = connectTo(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** In a session of its own, as CRIU wants it. */
async function startOnHost(program: Program, place: Place): Promise<Root> {
  const { command, args, cwd, env } = program.command(place)
  const stdout = join(place.folder, 'stdout')
  const output = openSync(stdout, 'a')
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', output, 'ignore'] })
  closeSync(output)
  await once(child, 'spawn')
  const root = { pid: child.pid ?? 0, child }
  try {
    await program.ready(connectOnHost, place, stdout)
    await program.warmUp(connectOnHost, place)
    return root
  } catch (error) {
    await end(root)
    throw error
  }
}

/** Dumped, which ends it, and restored, with the same pid: again and again. */
async function dumpAndRestore(pid: number, program: Program, place: Place): Promise<CriuResult> {
  const dumps: number[] = []
  const restores: number[] = []
  for (let i = 0; i < REPEATS; i++) {
    const folder = join(place.folder, `criu-${i}`)
    mkdirSync(folder)
    dumps.push(await timeOf(() => criu('dump', folder, ['--tree', String(pid)])))
    await untilGone(pid)
    restores.push(await timeOf(() => criu('restore', folder, ['--restore-detached'])))
    await program.use(connectOnHost, place)
  }
  return { dumpMs: median(dumps), restoreMs: median(restores) }
}

async function criu(action: 'dump' | 'restore', folder: string, args: readonly string[]): Promise<void> {
  const log = join(folder, `${action}.log`)
  const { exitCode } = await execa('criu', [action, '--images-dir', folder, '--log-file', log, ...args], {
    reject: false,
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
  })
  if (exitCode !== 0) throw new Error(`${action}: ${complaint(existsSync(log) ? readFileSync(log, 'utf8') : `exit status ${exitCode}`)}`)
}

/** The first error is the cause; the later ones are what came of it. */
function complaint(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '')
  const line = lines.find((line) => line.includes('Error')) ?? lines.at(-1) ?? 'it says nothing'
  return line.replace(/^\([\d.]+\)\s*(?:\d+:\s*)?/, '').trim()
}

const isThere = (pid: number): boolean => readdirSync('/proc').includes(String(pid))

async function untilGone(pid: number): Promise<void> {
  for (const giveUpAt = performance.now() + TIMEOUT_MS; isThere(pid); await sleep(1)) {
    if (performance.now() > giveUpAt) throw new Error(`process ${pid} does not end`)
  }
}

/** Whether it is the one that was started or one that CRIU made. */
async function end({ pid }: Root): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL')
    await untilGone(pid)
  } catch {
    // It has ended by itself.
  }
}
