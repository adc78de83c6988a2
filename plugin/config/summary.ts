import type { Reporter, TestModule, Vitest } from 'vitest/node'
import type { ThawMeta } from '../meta.js'
import type { Run } from './run.js'

/** Reporters of Vitest that print for people. What others print, a program may read: `vitest run --reporter=json | jq`. */
const FOR_PEOPLE: ReadonlySet<unknown> = new Set(['default', 'verbose', 'tree', 'dot', 'minimal', 'agent'])

/** Ends a run with one line: what was saved. On stderr if stdout may not be for people. Says nothing if no test used a snapshot. */
export class SummaryReporter implements Reporter {
  readonly #run: Run
  #vitest: Vitest | undefined

  constructor(run: Run) {
    this.#run = run
  }

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    const metas: ThawMeta[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { thaw } = test.meta()
        if (thaw) metas.push(thaw)
      }
    }
    if (metas.length > 0 && this.#vitest) print(this.#vitest, summaryLine(metas))
    for (const mishap of await this.#run.takeMishaps())
      this.#vitest?.logger.error(`       Thaw  the engine ended in the middle of the run: ${mishap}`)
  }
}

function print({ config, logger }: Vitest, line: string): void {
  const forPeople = config.reporters.some((reporter) => Array.isArray(reporter) && FOR_PEOPLE.has(reporter[0]))
  if (forPeople) logger.log(line)
  else logger.error(line)
}

export function summaryLine(metas: readonly ThawMeta[]): string {
  const sum = (value: (meta: ThawMeta) => number): number => metas.reduce((total, meta) => total + value(meta), 0)
  const restores = sum((meta) => meta.restores)
  const warmUps = sum((meta) => meta.warmUps)
  const avoided = Math.max(0, restores - warmUps)
  return (
    `       Thaw  ${count(restores, 'restore')}, ${milliseconds(median(metas.map((meta) => meta.restoreMs)))} each ` +
    `(a test waited ${milliseconds(median(metas.map((meta) => meta.waitMs)))}); ` +
    `${count(avoided, 'start')} avoided, ${seconds(sum((meta) => meta.savedMs))} saved`
  )
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
const milliseconds = (ms: number): string => `${ms.toFixed(1)} ms`
const seconds = (ms: number): string => `${(Math.max(0, ms) / 1000).toFixed(1)} s`
