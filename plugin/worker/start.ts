import type { Socket } from 'node:net'
import { resolve } from 'node:path'
import { FixtureError } from '../errors.js'
import { checkTimeout, isLimit } from '../timeout.js'
import type { PlaceId } from '../protocol/messages.js'
import type { EngineClient, Exit } from './engine-client.js'
import type { Network } from './network.js'
import { Output } from './output.js'
import { rendezvous } from './rendezvous.js'
import { describeReady, type Ready, untilReady } from './ready.js'

export interface StartOptions {
  /** When `start` returns. Default: as soon as the command runs. */
  readonly ready?: Ready
  /**
   * How long it may take until it is ready, in milliseconds; `0` or `Infinity` is no limit but that of the warm-up.
   * @default 60_000
   */
  readonly readyTimeoutMs?: number
  /** Relative to the project's root, which is the default. */
  readonly cwd?: string
  /** Added to the environment of the tests; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** A command that a warm-up has started. */
export interface StartedServer {
  /** Node's `fetch`, into the sandbox: `'/path'` on the port that `ready` names, or `':3000/path'`. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** A TCP connection into the sandbox; without a port to the one that `ready` names. */
  connect(port?: number): Promise<Socket>
  /** What it has printed until now; the last 64 KiB of it. */
  readonly stdout: string
  readonly stderr: string
}

export type Start = (command: string, args?: readonly string[], options?: StartOptions) => Promise<StartedServer>

/** Vitest's clock may be a fake one in the file that runs the warm-up. */
const { setTimeout, clearTimeout } = globalThis
/** Of the output, shown when a command does not become ready. */
const SHOWN_LINES = 20

/** `start` for the warm-up that runs in `place`. */
export function startIn(place: PlaceId, engine: EngineClient, network: Network, outputs: Output[]): Start {
  return async (command, args = [], options = {}) => {
    checkTimeout(`start('${command}', …, { readyTimeoutMs })`, options.readyTimeoutMs)
    const { process: number, descriptors } = await engine.call('start', {
      place,
      command,
      args,
      cwd: resolve(rendezvous().root, options.cwd ?? '.'),
      env: environment(options.env),
    })
    const [stdout, stderr] = descriptors.map((fd) => new Output(engine.native, fd)) as [Output, Output]
    outputs.push(stdout, stderr)
    if (options.ready) {
      await becomesReady([command, ...args].join(' '), options.ready, options.readyTimeoutMs ?? 60_000, engine.exitOf(number), network, [
        stdout,
        stderr,
      ])
    }
    const port = options.ready && portOf(options.ready)
    return {
      fetch: (input, init) => network.fetch(input, init, port),
      connect: async (to = port) => {
        if (to === undefined) throw new TypeError('connect(): say which port.')
        return network.connect(to)
      },
      get stdout() {
        return stdout.text
      },
      get stderr() {
        return stderr.text
      },
    }
  }
}

async function becomesReady(
  what: string,
  ready: Ready,
  timeoutMs: number,
  exited: Promise<Exit>,
  network: Network,
  outputs: readonly [Output, Output],
): Promise<void> {
  const over = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const fails = new Promise<never>((_, reject) => {
    const fail = (how: string): void => {
      reject(new FixtureError('THAW_NOT_READY', `\`${what}\` ${how}.${printed(outputs)}`))
    }
    exited.then((exit) => fail(`ended before it was ready, ${describeExit(exit)}; it is ready when ${describeReady(ready)}`), reject)
    if (!isLimit(timeoutMs)) return
    timer = setTimeout(() => fail(`was not ready after ${timeoutMs} ms: it is ready when ${describeReady(ready)}`), timeoutMs)
  })
  try {
    await Promise.race([untilReady(ready, network, outputs, over.signal), fails])
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}

/** The environment of the tests, without what Vitest gives each worker a different value of. */
function environment(added: StartOptions['env'] = {}): Record<string, string> {
  const merged = Object.entries({ ...process.env, ...added })
  return Object.fromEntries(
    merged.filter((entry): entry is [string, string] => entry[1] !== undefined && !/^(VITEST|TINYPOOL)/.test(entry[0])),
  )
}

function portOf(ready: Ready): number | undefined {
  if ('port' in ready) return ready.port
  if (!('http' in ready)) return undefined
  const url = ready.http.startsWith(':') ? `http://localhost${ready.http}` : ready.http
  return URL.canParse(url) ? Number(new URL(url).port || 80) : undefined
}

const describeExit = ({ code, signal }: Exit): string => (signal === null ? `with status ${code}` : `by signal ${signal}`)

function printed(outputs: readonly Output[]): string {
  const lines = outputs.flatMap(({ text }) => text.trimEnd().split('\n')).filter((line) => line !== '')
  return lines.length === 0 ? ' It printed nothing.' : ` It printed:\n${lines.slice(-SHOWN_LINES).join('\n')}`
}
