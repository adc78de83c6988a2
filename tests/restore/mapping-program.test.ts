import { expect, test } from 'vitest'
import type { Mapping } from '../../dist/core/image/model.js'
import { MappingKind } from '../../dist/core/image/model.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import {
  emitAdvice,
  emitInstanceAdvice,
  emitMapping,
  emitSeal,
  mmapFlags,
  needsProtecting,
} from '../../dist/core/restore/mapping-program.js'
import { mapping, PAGE } from '../checkpoint/own-memory.ts'
import { INPUT, report, Run } from '../program/interpreter.ts'

const PLACE = 0x3000_0000_0000n
const [PROT_READ, PROT_WRITE] = [1, 2]
const [RLIMIT_MEMLOCK, NOBODY] = [8, 65534]

const one = (rest: Partial<Mapping> = {}): Mapping => mapping(PLACE, PLACE + 4n * PAGE, rest)

/** What the kernel made of a mapping once it was made by a program. */
function made(wanted: Mapping, writable = false): ReturnType<typeof readMappings>[number] | undefined {
  using run = new Run((main, bundle) => {
    emitMapping(main, wanted, writable, undefined)
    emitAdvice(main, wanted)
    emitInstanceAdvice(main, { guards: [] }, wanted)
    emitSeal(main, wanted)
    report(main, 1)
    main.call('read', [INPUT, bundle.allocate(1), 1])
  })
  run.read()
  run.sleepsIn('read')
  return readMappings(run.pid).find(({ start }) => start === wanted.start)
}

test.each<[string, string[]]>([
  ['anonymous memory', []],
  ['without reservation', ['nr']],
  ['a stack', ['gd']],
  ['read at random', ['rr']],
  ['read in sequence', ['sr']],
  ['huge pages', ['hg']],
  ['no huge pages', ['nh']],
  ['not in core dumps', ['dd']],
  ['zeros in a child', ['wf']],
  ['not in a child', ['dc']],
  ['locked', ['lo']],
  ['several at once', ['nr', 'nh', 'dd', 'dc']],
])('%s has the flags that it had: %o', (_, flags) => {
  const seen = made(one({ flags }))!
  const told = ['nr', 'gd', 'rr', 'sr', 'hg', 'nh', 'dd', 'wf', 'dc', 'lo'].filter((flag) => seen.flags.has(flag))
  expect(told.sort()).toEqual(flags.toSorted())
  expect([seen.end, seen.permissions]).toEqual([PLACE + 4n * PAGE, 'rw-p'])
})

test('protection, with writing where it is to be filled', () => {
  expect(made(one({ protection: PROT_READ }))?.permissions).toBe('r--p')
  expect(made(one({ protection: PROT_READ }), true)?.permissions).toBe('rw-p')
  expect(made(one({ protection: 0 }), true)?.permissions).toBe('rw-p')
  expect(made(one({ protection: 5 }))?.permissions).toBe('r-xp')
  expect(made(one({ kind: MappingKind.anonymousShared }))?.permissions).toBe('rw-s')
})

test('a mapping never takes the place of another', () => {
  using run = new Run((main, bundle) => {
    main.onFailure = bundle.program('failed')
    main.onFailure.call('exit_group', [17])
    emitMapping(main, one(), false, undefined)
    emitMapping(main, one({ start: PLACE + PAGE }), false, undefined)
    main.call('exit_group', [0])
  })
  expect(run.finish().status).toEqual({ kind: 'exited', code: 17 })
})

test.each([
  [MappingKind.anonymous, 0x100022],
  [MappingKind.filePrivate, 0x100002],
  [MappingKind.fileShared, 0x100001],
  [MappingKind.anonymousShared, 0x100021],
])('mmap flags of kind %i', (kind, flags) => {
  expect(mmapFlags(one({ kind }))).toBe(flags)
})

test('only what cannot be written to while it is filled needs its protection afterwards', () => {
  const inside = [{ start: PLACE + PAGE, pageCount: 1n, fileOffset: 0n }]
  const behind = [{ start: PLACE + 4n * PAGE, pageCount: 1n, fileOffset: 0n }]
  for (const protection of [0, PROT_READ, PROT_WRITE, 5]) {
    expect(needsProtecting(one({ protection }), inside)).toBe(true)
    expect(needsProtecting(one({ protection }), behind)).toBe(false)
  }
  expect(needsProtecting(one(), inside)).toBe(false)
})

test('memory without access is locked, what the limit on locked memory does not allow is not', () => {
  expect(made(one({ protection: 0, flags: ['lo'] }))?.flags.has('lo')).toBe(true)
  for (const protection of [0, PROT_READ]) {
    using run = new Run((main, bundle) => {
      main.onFailure = bundle.program('failed')
      main.onFailure.call('exit_group', [17])
      emitMapping(main, one({ protection }), false, undefined)
      main.call('prlimit64', [0, RLIMIT_MEMLOCK, bundle.words(PAGE, PAGE), 0])
      // Root needs no limit.
      main.call('setresuid', [NOBODY, NOBODY, NOBODY], 'any')
      emitInstanceAdvice(main, { guards: [] }, one({ protection, flags: ['lo'] }))
      main.call('exit_group', [0])
    })
    expect(run.finish().status).toEqual({ kind: 'exited', code: 17 })
  }
})
