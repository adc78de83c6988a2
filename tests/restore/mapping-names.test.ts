/** Names of memory without a file (PR_SET_VMA_ANON_NAME). The programs are looked at, as not every kernel can run them. */
import { expect, test } from 'vitest'
import type { Mapping, ProcessModel } from '../../dist/core/image/model.js'
import { MappingKind } from '../../dist/core/image/model.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import { Bundle } from '../../dist/core/program/bundle.js'
import { describeOperation, printOperation } from '../../dist/core/program/print.js'
import type { Program } from '../../dist/core/program/program.js'
import type { SeenProcess, SeenTree } from '../../dist/core/resources/description.js'
import { collectMappings } from '../../dist/core/resources/mappings.js'
import { emitMapping } from '../../dist/core/restore/mapping-program.js'
import { emitOwnMemory } from '../../dist/core/restore/own-memory.js'
import type { Planning } from '../../dist/core/restore/planning.js'
import { SharedPage } from '../../dist/core/restore/shared-page.js'
import { Staging } from '../../dist/core/restore/staging.js'
import { apartIn } from '../../dist/core/restore/stow.js'
import { native } from '../../dist/native/index.js'
import { mapping, OwnMemory, PAGE } from '../checkpoint/own-memory.ts'
import { fullProcess } from '../image/full-process.ts'
import { INPUT, interpret, report, Run } from '../program/interpreter.ts'

const PLACE = 0x3000_0000_0000n
const [PR_SET_VMA, PR_SET_VMA_ANON_NAME, EINVAL] = [0x53564d41, 0, 22]

const one = (name: string, rest: Partial<Mapping> = {}): Mapping => mapping(PLACE, PLACE + 64n * PAGE, { name, ...rest })
const naming = (name: string): string => `prctl(0x53564d41, 0, 0x300000000000, 0x40000, ${JSON.stringify(name)})`

function emitted(build: (program: Program) => void): string[] {
  const program = new Bundle(0x2000_0000_0000n).program('test')
  build(program)
  return program.ops.map((op) => printOperation(op).replace(/ = <.*/, ''))
}

test('a mapping has its name as soon as it is there', () => {
  for (const name of [' glibc: malloc', 'Go: heap (a:b) ']) {
    const calls = emitted((program) => emitMapping(program, one(name, { flags: ['gu'] }), false, undefined))
    expect(calls.map((call) => call.slice(0, 5))).toEqual(['mmap(', 'prctl', 'madvi', 'madvi'])
    expect(calls[1]).toBe(naming(name))
  }
  expect(emitted((program) => emitMapping(program, one(''), false, undefined))).toHaveLength(1)
})

test('one that is moved to its place has it there', () => {
  const named = one('staged', { protection: 7 })
  const memory = { ...fullProcess.memory, mappings: [named], pages: [{ start: PLACE, pageCount: 64n, fileOffset: 0n }] }
  const [staging] = Staging.plan(memory, []) as [Staging]
  const calls = emitted((program) => staging.emitMoves(program, memory))
  expect(calls[calls.findIndex((call) => call.startsWith('mremap')) + 1]).toBe(naming('staged'))
  expect(calls).toHaveLength(5)
})

test('shared memory has it in each process', () => {
  const named = one('shared', { kind: MappingKind.anonymousShared, sharedMemory: 1 })
  const process: ProcessModel = { ...fullProcess, memory: { ...fullProcess.memory, mappings: [named], guards: [] } }
  const sharedMemory = [{ id: 1, sizeBytes: 64n * PAGE, pages: [], segment: null }]
  const image = { processes: [process], zombies: [], sharedMemory } as unknown as Planning['image']
  const planning = { image, shared: new SharedPage(image, 0x2100_0000_0000n, 0n) } as unknown as Planning
  const calls = emitted((program) => emitOwnMemory(program, planning, process, {} as never))
  expect(calls[0]).toMatch(/^mremap\(.*, 0x300000000000\)/)
  expect(calls[1]).toBe(naming('shared'))
})

test('neighbours with different names are two mappings, with the same name two that are kept apart', () => {
  const next = (name: string): Mapping => mapping(PLACE + 64n * PAGE, PLACE + 128n * PAGE, { name })
  const apart = (...names: [string, string]): number => apartIn({ ...fullProcess.memory, mappings: [one(names[0]), next(names[1])] }).size
  expect([apart('a', 'b'), apart('a', ''), apart('a', 'a')]).toEqual([0, 0, 2])
})

test('names are read as they are; an empty one is refused', () => {
  const read = (path: string): Mapping[] => {
    const line = { start: PLACE, end: PLACE + PAGE, permissions: 'rw-p', offset: 0n, device: '00:00', inode: 0n, path, protectionKey: 0 }
    const tree = { mappingsOf: () => [{ ...line, flags: new Set(['rd', 'wr']) }] } as unknown as SeenTree
    return collectMappings({ pid: 1, name: 'x' } as SeenProcess, tree)
  }
  expect(read('[anon: glibc: malloc]')).toMatchObject([{ name: ' glibc: malloc', kind: MappingKind.anonymous }])
  expect(read('[anon_shmem:a (deleted)]')).toMatchObject([{ name: 'a (deleted)', kind: MappingKind.anonymousShared }])
  for (const path of ['[anon:]', '[anon_shmem:]']) expect(() => read(path)).toThrow(expect.objectContaining({ code: 'THAW_MAPPING' }))
})

/** Whether the kernel was built with CONFIG_ANON_VMA_NAME. */
function hasNames(): boolean {
  using memory = new OwnMemory(1n)
  try {
    native.syscall('prctl', [PR_SET_VMA, PR_SET_VMA_ANON_NAME, memory.start, PAGE, Buffer.from('thaw\0')])
    return true
  } catch {
    return false
  }
}

test.runIf(hasNames())('the kernel shows the name', () => {
  using run = new Run((main, bundle) => {
    emitMapping(main, one(' a name'), false, undefined)
    report(main, 1)
    main.call('read', [INPUT, bundle.allocate(1), 1])
  })
  run.read()
  run.sleepsIn('read')
  expect(readMappings(run.pid).find(({ start }) => start === PLACE)?.path).toBe('[anon: a name]')
})

test.skipIf(hasNames())('a kernel without names fails by the mapping and its name', () => {
  let failing = ''
  const { status } = interpret((main, bundle) => {
    main.onFailure = bundle.program('failed')
    main.onFailure.call('exit_group', [EINVAL])
    emitMapping(main, one('a name'), false, undefined)
    failing = describeOperation(main.ops[1]!)
    main.call('exit_group', [0])
  })
  expect(failing).toMatch(/^name of 0x300000000000-0x300000040000: prctl\(.*"a name"\)/)
  expect(status).toEqual({ kind: 'exited', code: EINVAL })
})
