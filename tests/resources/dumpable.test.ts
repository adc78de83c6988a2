/** Whether a process is dumpable. The setting that makes it so for root only is the whole machine's, and left alone here: what comes of it is looked at. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { ParasiteResults } from '../../dist/core/checkpoint/parasite.js'
import { readStatus } from '../../dist/core/proc/status.js'
import { Bundle } from '../../dist/core/program/bundle.js'
import { describeOperation } from '../../dist/core/program/print.js'
import { askProcessSettings, emitDumpable } from '../../dist/core/resources/process-settings.js'
import { exited, interpret } from '../program/interpreter.ts'

test('the number is kept', () => {
  for (const dumpable of [0, 1, 2]) {
    const program = new Bundle(0x2000_0000_0000n).program('parasite')
    const collect = askProcessSettings(program, process.pid, readStatus(process.pid))
    const asked = program.ops.find((op) => op.name === 'prctl' && op.args[0] === 3)?.out
    const results = { cell: (cell: unknown) => (cell === asked ? BigInt(dumpable) : 0n), bytes: () => new Uint8Array(8) }
    expect(collect(results as unknown as ParasiteResults).dumpable).toBe(dumpable)
  }
})

test('it is set to what it can be set to; for root only, it must have come out so', () => {
  const calls = [0, 1, 2].map((dumpable) => {
    const program = new Bundle(0x2000_0000_0000n).program('test')
    emitDumpable(program, { dumpable })
    return program.ops.map((op) => describeOperation(op).replace(/ = <.*?>/, ''))
  })
  expect(calls).toEqual([
    ['dumpable: prctl(4, 0, 0, 0, 0)'],
    ['dumpable: prctl(4, 1, 0, 0, 0)'],
    ['dumpable for root only (fs.suid_dumpable): prctl(3, 0, 0, 0, 0) (must be 2)'],
  ])
})

test('where it comes out otherwise, the restore fails', ({ skip }) => {
  skip(readFileSync('/proc/sys/fs/suid_dumpable', 'utf8').trim() === '2', 'a machine on which it comes out so')
  const { status } = interpret((main, bundle) => {
    main.onFailure = bundle.program('failed')
    main.onFailure.call('exit_group', [17])
    main.call('setfsuid', [65534], 'any')
    emitDumpable(main, { dumpable: 2 })
    main.call('exit_group', [0])
  })
  expect(status).toEqual(exited(17))
})
