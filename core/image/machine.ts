/** Kernel and processor: an image holds registers and a vDSO that fit only these. */
import { release } from 'node:os'
import { readFileSync } from 'node:fs'
import { ImageError } from '../errors.js'
import type { Machine } from './model.js'

/** The state's layout is told by the threads' own extended states; what is compared here is what /proc/cpuinfo says. */
export function currentMachine(): Machine {
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
  return { kernelRelease: release(), cpuFlags: flags.trim() }
}

/** @throws ImageError THAW_OTHER_KERNEL, THAW_OTHER_CPU */
export function verifyMachine(machine: Machine): void {
  const here = currentMachine()
  if (machine.kernelRelease !== here.kernelRelease)
    throw new ImageError(
      'THAW_OTHER_KERNEL',
      `Cannot restore: the image is from kernel ${machine.kernelRelease}, this is ${here.kernelRelease}. Make a new checkpoint here.`,
    )
  const missing = machine.cpuFlags.split(' ').filter((flag) => !here.cpuFlags.split(' ').includes(flag))
  if (missing.length > 0)
    throw new ImageError(
      'THAW_OTHER_CPU',
      `Cannot restore: the image is from a processor with ${missing.join(', ')}, which this one lacks. Make a new checkpoint here.`,
    )
}
