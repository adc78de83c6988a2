/** The memory of processes that are forked from the first: what a fork brings along goes, what was kept for them comes to its place. */
import type { ProcessModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitAdvice, emitMapping, emitProtection, emitSeal, needsProtecting } from './mapping-program.js'
import type { Planning } from './planning.js'
import { emitLayout, mappedOf } from './template-program.js'
import { emitMove, vdsoOf, vdsoRange } from './vdso-move.js'

const TASK_SIZE = 0x7fff_ffff_f000n
const MADV_DONTFORK = 10
const MADV_DOFORK = 11

/** The first process's own memory stands at its final addresses: its forks are not to copy it. The vDSO is, as there is no other. */
export function emitForksOfFirst(program: Program, { region, root, stows }: Planning, fork: () => void): void {
  const vdso = vdsoRange(root.memory)
  const kept = [region, ...(vdso === undefined ? [] : [vdso])].toSorted((a, b) => (a.start < b.start ? -1 : 1))
  const gaps = [...kept, { start: TASK_SIZE, end: TASK_SIZE }].map(({ start }, i) => ({ start: kept[i - 1]?.end ?? 0n, end: start }))
  // Between mappings there are holes, which the kernel tells of (ENOMEM) when it is done with the rest.
  const advise = (advice: number): void => {
    for (const { start, end } of gaps) if (start < end) program.call('madvise', [start, end - start, advice], 'any')
  }
  program.for('forks', () => advise(MADV_DONTFORK))
  for (const stow of stows.values()) stow.emitForked(program, false)
  fork()
  program.for('forks', () => advise(MADV_DOFORK))
}

/** In the forked process, after its own forks. */
export function emitForkedMemory(program: Program, planning: Planning, process: ProcessModel): void {
  const { stows, root } = planning
  const { memory } = process
  const stow = stows.get(process)
  program.for('memory', () => {
    emitVdso(program, planning, process)
    stow?.emitForked(program, true)
    stow?.emitBack(program)
    for (const mapping of mappedOf(memory)) {
      if (stow?.has(mapping) === true) continue
      emitMapping(program, mapping, needsProtecting(mapping, memory.pages), undefined)
      emitProtection(program, mapping, memory.pages)
      emitAdvice(program, mapping)
    }
    for (const mapping of mappedOf(memory)) emitSeal(program, mapping)
  })
  const { executable } = memory
  const isSame = executable.path === root.memory.executable.path && executable.inode === root.memory.executable.inode
  program.for('layout', () => emitLayout(program, memory, !isSame))
}

/** From where the first process has it. */
function emitVdso(program: Program, { root, region }: Planning, { memory }: ProcessModel): void {
  const [there, here] = [vdsoRange(root.memory), vdsoRange(memory)]
  if (there === undefined || there.start === here?.start) return
  const parts = vdsoOf(root.memory)
  if (here === undefined) {
    program.call('munmap', [there.start, there.end - there.start])
    return
  }
  emitMove(program, parts, there.start, there.start, region.spare)
  emitMove(program, parts, region.spare, there.start, here.start)
}
