/** A file with a pid in it: there completely or not at all. */
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { RestoreError } from '../errors.js'

export class PidFile implements Disposable {
  readonly #path: string
  readonly #temporary: string

  /** Writes it beside its place, so that what can fail fails before anything runs. @throws RestoreError THAW_PID_FILE */
  constructor(path: string, pid: number) {
    this.#path = resolve(path)
    this.#temporary = join(dirname(this.#path), `.${basename(this.#path)}.${process.pid}.partial`)
    this.#attempt(() => {
      if (statSync(this.#path, { throwIfNoEntry: false })?.isDirectory() === true)
        throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' })
      writeFileSync(this.#temporary, `${pid}\n`, { flag: 'wx' })
    })
  }

  commit(): void {
    this.#attempt(() => renameSync(this.#temporary, this.#path))
  }

  #attempt(action: () => void): void {
    try {
      action()
    } catch (cause) {
      const { code, syscall, errno } = cause as NodeJS.ErrnoException
      const details = {
        path: this.#path,
        cause,
        ...(syscall === undefined ? {} : { syscall }),
        ...(errno === undefined ? {} : { errno: Math.abs(errno) }),
      }
      throw new RestoreError(
        'THAW_PID_FILE',
        `Cannot restore: the pid file ${this.#path} cannot be written (${code}). Name a file in a folder that can be written to.`,
        details,
      )
    }
  }

  /** Removes what was not committed. */
  [Symbol.dispose](): void {
    rmSync(this.#temporary, { force: true })
  }
}
