import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { native } from '../../dist/native/index.js'
import type { ExitStatus } from '../../dist/core/sandbox/exit-status.js'
import type { Sandbox } from '../../dist/core/sandbox/sandbox.js'

export const initProgram: string = fileURLToPath(new URL('../../build/Release/thaw-init', import.meta.url))

/** As nobody special, where this runs as root. */
export const ordinary: readonly string[] = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []

const nothing = openSync('/dev/null', 'r+')
export const quiet: readonly [number, number, number] = [nothing, nothing, nothing]

/** Runs a command inside until it ends: its standard output, and how it ended. */
export async function run(
  sandbox: Sandbox,
  command: string,
  args: readonly string[] = [],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<{ output: string; status: ExitStatus }> {
  const [reading, writing] = native.pipe(0)
  const output = text(createReadStream('', { fd: reading }))
  try {
    const started = await sandbox.start(command, args, { ...options, stdio: [nothing, writing, 2] })
    closeSync(writing)
    return { output: await output, status: await started.exited }
  } catch (error) {
    closeSync(writing)
    await output
    throw error
  }
}

/** A sandbox's descriptors are sockets, pidfds and files below /proc; Node opens and closes others when it pleases. */
export function sandboxDescriptors(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^(anon_inode:\[pidfd\]|socket:|net:|\/proc\/\d+\/timens)/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  })
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Fails after a second, which is what the product promises. */
export async function withinASecond(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 5, timeout: 1000 }).toBe(true)
}

export const namespaceOf = (pid: number | 'self', name: string): string => readlinkSync(`/proc/${pid}/ns/${name}`)

/** An engine in a process of its own (engine.ts). `wrapper` goes before the command. */
export async function startEngine(mode: 'stay' | 'detach', wrapper: readonly string[] = []): Promise<EngineUnderTest> {
  const script = fileURLToPath(new URL('engine.ts', import.meta.url))
  const [file = '', ...args] = [...wrapper, process.execPath, script, mode]
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, ...(JSON.parse(line) as Pids) }
}

export interface Pids {
  /** All as the engine sees them. */
  readonly engine: number
  readonly host: number
  readonly init: number
  readonly command: number
}

export interface EngineUnderTest extends Pids {
  readonly child: ChildProcess
}
