/** When is a server ready? Asked by port, by HTTP, or by what it prints. */
import type { Network } from './network.js'
import type { Output } from './output.js'

export type Ready =
  /** A port of the sandbox's loopback that accepts connections. */
  | { readonly port: number }
  /** `':3000/health'`: answers with a status of 200 to 299. */
  | { readonly http: string }
  /** A text or pattern that shows up on stdout or stderr. */
  | { readonly output: string | RegExp }

/** Tests may have replaced the global ones. */
const { setTimeout } = globalThis
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const FIRST_PAUSE_MS = 2
const LONGEST_PAUSE_MS = 50

/** Resolves when it is ready; asks until `signal` is aborted. */
export async function untilReady(ready: Ready, network: Network, outputs: readonly Output[], signal: AbortSignal): Promise<void> {
  if ('output' in ready) return untilPrinted(ready.output, outputs, signal)
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    if (await ('port' in ready ? accepts(ready.port, network) : answers(ready.http, network))) return
    await sleep(pause)
  }
}

async function accepts(port: number, network: Network): Promise<boolean> {
  try {
    const socket = await network.connect(port)
    socket.destroy()
    return true
  } catch (error) {
    return notYet(error)
  }
}

async function answers(path: string, network: Network): Promise<boolean> {
  try {
    const response = await network.fetch(path)
    await response.arrayBuffer()
    return response.ok
  } catch (error) {
    if (error instanceof TypeError && error.cause === undefined) throw error
    return notYet(error instanceof TypeError ? error.cause : error)
  }
}

/** Nobody listens yet, or does not speak yet. Everything else will not get better by asking again. */
function notYet(error: unknown): false {
  const { code } = error as { readonly code?: string }
  if (code?.startsWith('THAW_')) throw error
  return false
}

function untilPrinted(wanted: string | RegExp, outputs: readonly Output[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (outputs.some(({ text }) => (typeof wanted === 'string' ? text.includes(wanted) : text.search(wanted) !== -1))) resolve()
    }
    signal.addEventListener('abort', () => resolve())
    for (const output of outputs) output.onMore(look)
    look()
  })
}

export function describeReady(ready: Ready): string {
  if ('port' in ready) return `port ${ready.port} accepts connections`
  if ('http' in ready) return `${ready.http} answers with a 2xx status`
  return `its output has ${ready.output}`
}
