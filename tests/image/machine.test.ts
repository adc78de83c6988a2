import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { currentMachine, verifyMachine } from '../../dist/core/image/machine.js'

test('this machine is what the kernel says, and an image from here fits', () => {
  const here = currentMachine()
  expect(here.kernelRelease).toBe(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim())
  expect(here.cpuFlags.split(' ')).toEqual(expect.arrayContaining(['fpu', 'sse2', 'fxsr']))
  expect(() => verifyMachine(here)).not.toThrow()
})

test('an image of a processor with less fits', () => {
  expect(() => verifyMachine({ ...currentMachine(), cpuFlags: 'fpu sse2' })).not.toThrow()
})

test('a processor with more is named by what it has', () => {
  const here = currentMachine()
  const cpuFlags = `amx_dream ${here.cpuFlags} sse9`
  expect(() => verifyMachine({ ...here, cpuFlags })).toThrow(
    expect.objectContaining({ name: 'ImageError', code: 'THAW_OTHER_CPU', message: expect.stringContaining('with amx_dream, sse9,') }),
  )
})

test('another kernel is named, before anything else', () => {
  expect(() => verifyMachine({ kernelRelease: '5.4.0-old', cpuFlags: 'sse9' })).toThrow(
    expect.objectContaining({ name: 'ImageError', code: 'THAW_OTHER_KERNEL', message: expect.stringContaining('kernel 5.4.0-old') }),
  )
})
