/** What START tells init to execute. */
import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { commandNotFound } from './failures.js'
import type { Plan } from './wire.js'

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly directory: string
  readonly environment: NodeJS.ProcessEnv
}

/** What execvp(3) uses where there is no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin'

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** As a shell finds it: by the command's own PATH, relative to its own working directory. */
export function findProgram({ command, directory, environment }: Command): string {
  if (command.includes('/')) return resolve(directory, command)
  const path = environment['PATH'] ?? DEFAULT_PATH
  for (const folder of path.split(':')) {
    const file = resolve(directory, folder, command)
    if (isProgram(file)) return file
  }
  throw commandNotFound(command, path)
}

function joinStrings(strings: readonly string[]): Uint8Array {
  const cut = strings.find((string) => string.includes('\0'))
  if (cut !== undefined) throw new TypeError(`a command, argument or environment variable contains a NUL byte: ${JSON.stringify(cut)}`)
  return Buffer.from(strings.map((string) => `${string}\0`).join(''))
}

export function planOf(command: Command): Plan {
  const args = [command.command, ...command.args]
  const variables = Object.entries(command.environment).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  return {
    strings: joinStrings([command.directory, findProgram(command), ...args, ...variables]),
    argumentCount: args.length,
    environmentCount: variables.length,
  }
}
