import { readFileSync } from 'node:fs'

/** Of the package: the same distance above dist/core/cli as above core/cli. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
