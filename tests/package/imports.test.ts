/** What the published files import must be there where the package is installed, without what is only needed to build and test it. */
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = new URL('../../', import.meta.url).pathname
const published = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
  'dependencies' | 'peerDependencies',
  Record<string, string>
>

/** The packages that a module imports, with `import` or `import()`. */
function packagesOf(file: string): string[] {
  const specifiers = [
    ...readFileSync(file, 'utf8').matchAll(/^(?:import|export)\s(?:[^'"]*\sfrom\s)?['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm),
  ]
  return specifiers
    .map(([, static_, dynamic]) => static_ ?? dynamic ?? '')
    .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier)
}

test('all that is imported is declared', () => {
  const files = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))
  const imported = new Set(files.flatMap((file) => packagesOf(join(root, 'dist', file))))
  const declared = Object.keys({ ...published.dependencies, ...published.peerDependencies })
  expect([...imported].toSorted()).toEqual(declared.toSorted())
})
