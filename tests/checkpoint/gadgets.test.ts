import { closeSync, openSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { findGadgets, gadgetsStand } from '../../dist/core/checkpoint/gadgets.js'
import { findGadgetPlace, LentGadgets, placeStands } from '../../dist/core/checkpoint/lent-gadgets.js'
import { withRegisters } from '../../dist/core/program/registers.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { Target } from '../native/harness.ts'

let target: Target
let mem: number
beforeEach(() => {
  target = new Target()
  mem = openSync(`/proc/${target.pid}/mem`, 'r')
})
afterEach(() => {
  target[Symbol.dispose]()
  closeSync(mem)
})

test("a program's libc has both pieces, and they work", () => {
  const lines = readMappings(target.pid)
  const gadgets = findGadgets(mem, lines)!
  for (const address of [gadgets.syscall, gadgets.sigreturn]) {
    const line = lines.find(({ start, end }) => start <= address && address < end)
    expect(line?.permissions).toBe('r-xp')
    expect(line?.path).toMatch(/libc|ld-musl/)
  }
  target.freeze()
  const before = native.getRegisters(target.pid)
  const call = withRegisters(before, { rip: gadgets.syscall, rax: native.syscalls['getpid']!, origRax: -1 })
  expect(native.callRemote(target.pid, call)).toBe(BigInt(target.pid))
  native.setRegisters(target.pid, withRegisters(before, { rip: gadgets.sigreturn, origRax: -1 }))
  // mov $15, then syscall.
  expect(native.step(target.pid)).toMatchObject({ kind: 'stopped' })
  const after = native.getRegisters(target.pid)
  expect(after[10]).toBe(15n)
  expect(Buffer.from(native.readAt(mem, after[16]!, 2))).toEqual(Buffer.from([0x0f, 0x05]))
})

test('there are none where nothing can be executed', () => {
  const data = readMappings(target.pid).filter(({ permissions }) => !permissions.includes('x'))
  expect(data.length).toBeGreaterThan(3)
  expect(findGadgets(mem, data)).toBeUndefined()
})

test('whether they still stand is told by their bytes', () => {
  const gadgets = findGadgets(mem, readMappings(target.pid))!
  expect(gadgetsStand(mem, gadgets)).toBe(true)
  expect(gadgetsStand(mem, { ...gadgets, syscall: gadgets.syscall + 1n })).toBe(false)
  expect(gadgetsStand(mem, { ...gadgets, sigreturn: gadgets.sigreturn + 2n })).toBe(false)
  expect(gadgetsStand(mem, { ...gadgets, sigreturn: 0n })).toBe(false)
})

test('a program without them is lent some behind its code, where zeros stand before and after', async () => {
  await using program = await FixtureProgram.start('freestanding')
  const lines = readMappings(program.pid)
  const memory = openSync(`/proc/${program.pid}/mem`, 'r+')
  const place = findGadgetPlace(memory, lines)!
  expect(place.standing).toBe(false)
  expect(placeStands(memory, lines, place)).toBe(true)
  const zeros = (): Uint8Array => native.readAt(memory, place.gadgets.sigreturn, 16)
  expect(zeros()).toEqual(new Uint8Array(16))
  {
    using lent = new LentGadgets(memory, place)
    expect(gadgetsStand(memory, lent.gadgets)).toBe(true)
    expect(findGadgets(memory, lines)).toEqual(place.gadgets)
    expect(placeStands(memory, lines, place)).toBe(false)
  }
  expect(zeros()).toEqual(new Uint8Array(16))
  closeSync(memory)
  expect(await program.check()).toEqual(['ok'])
})

test('a program that has them is lent none', () => {
  const lines = readMappings(target.pid)
  expect(findGadgetPlace(mem, lines)).toEqual({ gadgets: findGadgets(mem, lines), standing: true })
})
