/**
 * The demo: `npm run demo -- [--json]`. A suite of 60 tests, each of which changes the state of a server that takes a second and more to
 * become warm. Run with a restored copy for each test, and, one file of it, with a start for each test.
 */
import Table from 'cli-table3'
import { Command } from 'commander'
import { percentiles } from '../../bench/statistics.ts'
import { type Figures, figuresOf, startsOf, sumOf, waitsOf } from './figures.ts'
import { plot } from './plot.ts'
import { runSuite } from './run.ts'

/** Ten tests are enough to know what a start takes. */
const COLD_SAMPLE = ['suite/users.test.ts']

const { json } = new Command('demo').option('--json', 'print one object and nothing else').parse().opts<{ json?: true }>()
const show = json === undefined

const restored = await runSuite({ start: 'restored', show })
const cold = await runSuite({ start: 'cold', files: COLD_SAMPLE, show })
const figures = figuresOf(restored, cold)
if (json) console.log(JSON.stringify(figures))
else {
  console.log(`What a test waited for its server:\n\n${tableOf(figures)}\n`)
  const series = [
    { name: 'restored', mark: '█', values: waitsOf(restored) },
    { name: 'started', mark: '░', values: startsOf(cold) },
  ]
  console.log(`${plot(series)}\n\n${conclusion(figures)}`)
}
if (figures.failed > 0) {
  process.exitCode = 1
  // Vitest has not said so itself, and one is enough: what is wrong is mostly wrong for all.
  const first = [...restored, ...cold].find(({ failureMessages }) => failureMessages.length > 0)
  if (json && first) console.error(`${first.fullName}: ${first.failureMessages.join('\n')}`)
}

function tableOf({ tests, waitMs, coldMs }: Figures): string {
  const table = new Table({
    head: ['', 'tests', 'p50', 'p95', `${tests} tests`],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  table.push(['restored', tests, ms(waitMs.p50), ms(waitMs.p95), seconds(sumOf(waitsOf(restored)))])
  table.push(['started', cold.length, ms(coldMs.p50), ms(percentiles(startsOf(cold)).p95), seconds(coldMs.p50 * tests)])
  return table.toString()
}

function conclusion({ tests, failed, restoreMs, savedMs }: Figures): string {
  return (
    `A restore takes ${ms(restoreMs.p50)}, most of it while the test before runs. ` +
    `Against a start for each of them, ${seconds(savedMs)} are saved; ${failed === 0 ? `all ${tests} tests found the server as the warm-up left it` : `${failed} tests failed`}.`
  )
}

function ms(value: number): string {
  return `${value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
