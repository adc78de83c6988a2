/** Programs of the machine that tests run. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Each major version of Node is a dependency of the project's. */
export const nodes: Readonly<Record<string, string>> = {
  'Node 20': nodeOf('node-20'),
  'Node 22': nodeOf('node-22'),
  'Node 24': nodeOf('node'),
  'Node 26': nodeOf('node-26'),
}

function nodeOf(dependency: string): string {
  return fileURLToPath(new URL(`../../node_modules/${dependency}/bin/node`, import.meta.url))
}

/** Why a command cannot be tested here, if it cannot. */
export function missing(command: string): string | undefined {
  const found = command.includes('/') ? existsSync(command) : spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
  return found ? undefined : `${command} is not installed`
}
