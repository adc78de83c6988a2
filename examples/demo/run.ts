/** One run of the suite by an outer Vitest, as people start it; what it reports of its tests. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { ThawMeta } from '../../dist/plugin/index.js'
import type { ColdMeta } from './cold.ts'

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))

export interface TestReport {
  readonly fullName: string
  readonly status: string
  readonly failureMessages: readonly string[]
  readonly meta: { readonly thaw?: ThawMeta; readonly cold?: ColdMeta }
}

export interface RunOptions {
  readonly start: 'restored' | 'cold'
  /** Test files to run; default: all. */
  readonly files?: readonly string[]
  /** Lets Vitest say on standard output what it does. */
  readonly show: boolean
}

export async function runSuite({ start, files = [], show }: RunOptions): Promise<readonly TestReport[]> {
  const folder = mkdtempSync(join(tmpdir(), 'thaw-demo-'))
  const report = join(folder, 'report.json')
  try {
    const reporters = [...(show ? ['--reporter=default'] : []), '--reporter=json', `--outputFile.json=${report}`]
    const { exitCode } = await execa(process.execPath, [VITEST, 'run', ...reporters, ...files], {
      cwd: import.meta.dirname,
      env: { DEMO_START: start },
      reject: false,
      stdin: 'ignore',
      stdout: show ? 'inherit' : 'ignore',
      stderr: 'inherit',
    })
    const tests = readReport(report)
    if (tests.length === 0) throw new Error(`Vitest ended with status ${exitCode} and without a test`)
    return tests
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(path: string): TestReport[] {
  const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as { testResults: { assertionResults: TestReport[] }[] }
  return testResults.flatMap(({ assertionResults }) => assertionResults)
}
