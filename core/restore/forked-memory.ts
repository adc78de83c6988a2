/**
 * The memory of processes that are forked from others: what a fork brings along and is not theirs goes, what was kept for them comes to its
 * place, and what their own forks are not to have is not copied.
 */
import type { AddressRange } from '../checkpoint/space.js'
import type { ProcessModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitAdvice, emitMapping, emitProtection, emitSeal, needsProtecting } from './mapping-program.js'
import type { Planning } from './planning.js'
import type { VdsoPlaces } from './vdso-move.js'
import { mappedOf } from './template-program.js'

const TASK_SIZE = 0x7fff_ffff_f000n
const MADV_DONTFORK = 10
const MADV_DOFORK = 11

/** Of what a process has in place, its forks copy what one of them inherits. The vDSO comes along, as there is no other. */
export function emitForks(program: Program, planning: Planning, process: ProcessModel, fork: () => void): void {
  const { region, root, stows, inheritance } = planning
  const vdso = vdsoIn(planning, inheritance.isInPlace(process) ? process : inheritance.inPlaceFor(process))
  // Between mappings there are holes, which the kernel tells of (ENOMEM) when it is done with the rest.
  const advise = (advice: number): void => {
    for (const { start, end } of gapsBetween([region, ...vdso.values(), ...inheritance.handedDownBy(process)]))
      program.call('madvise', [start, end - start, advice], 'any')
  }
  program.for('forks', () => advise(MADV_DONTFORK))
  if (process === root) for (const stow of stows.values()) stow.emitForked(program, false)
  fork()
  program.for('forks', () => advise(MADV_DOFORK))
}

/** What others inherit of the process that has forked this one. */
export function emitStrange(program: Program, planning: Planning, process: ProcessModel): void {
  const { region, inheritance } = planning
  const strange = inheritance.strangeTo(process)
  const vdso = vdsoIn(planning, inheritance.inPlaceFor(process))
  program.for('memory', () => {
    for (const { start, end } of gapsBetween([region, ...vdso.values(), ...inheritance.of(process)]))
      if (strange.some((mapping) => start <= mapping.start && mapping.end <= end)) program.call('munmap', [start, end - start])
  })
}

/** Where it is, the parts that it has unmapped itself included, while this process forks. */
const vdsoIn = ({ vdso }: Planning, { memory }: ProcessModel): VdsoPlaces => vdso.placesIn(memory)

function gapsBetween(kept: readonly AddressRange[]): AddressRange[] {
  const gaps: AddressRange[] = []
  let last = 0n
  for (const { start, end } of [...kept, { start: TASK_SIZE, end: TASK_SIZE }].toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    if (last < start) gaps.push({ start: last, end: start })
    if (last < end) last = end
  }
  return gaps
}

/** Before its own forks if it hands anything down, otherwise after them. */
export function emitForkedMemory(program: Program, planning: Planning, process: ProcessModel): void {
  const { stows, inheritance } = planning
  const { memory } = process
  const stow = stows.get(process)
  const inherited = inheritance.of(process)
  program.for('memory', () => {
    planning.vdso.emitPlaced(program, vdsoIn(planning, inheritance.inPlaceFor(process)), memory)
    stow?.emitForked(program, true)
    stow?.emitBack(program)
    for (const mapping of mappedOf(memory)) {
      if (stow?.has(mapping) === true || inherited.has(mapping)) continue
      emitMapping(program, mapping, needsProtecting(mapping, memory.pages), undefined)
      emitProtection(program, mapping, memory.pages)
      emitAdvice(program, mapping)
    }
  })
}

/** After its forks: nothing of another program may be mapped any more, and what is sealed cannot be unmapped. */
export function emitForkedSeals(program: Program, { memory }: ProcessModel): void {
  program.for('memory', () => {
    for (const mapping of mappedOf(memory)) emitSeal(program, mapping)
  })
}
