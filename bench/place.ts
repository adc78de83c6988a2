/** Room for one start of a program. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Place } from './programs/program.ts'

const folders = new Set<string>()
// Also when the bench ends in the middle.
process.on('exit', () => folders.forEach(remove))

export interface DisposablePlace extends Place, Disposable {}

export async function newPlace(): Promise<DisposablePlace> {
  const folder = newFolder()
  return { folder, port: await freePort(), [Symbol.dispose]: () => remove(folder) }
}

/** A folder that is gone when the bench ends, or before, by `remove`. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'thaw-bench-'))
  folders.add(folder)
  return folder
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
