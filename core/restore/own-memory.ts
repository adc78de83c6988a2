/** Memory that a process does not have from the template: shared mappings, one copy per instance; advice that a fork would lose. */
import type { FileIdentity, ProcessModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { emitSharedDeleted } from '../resources/deleted-mapping.js'
import type { Emitter } from '../resources/description.js'
import { emitProtectionKey } from '../resources/protection-keys.js'
import {
  emitAdvice,
  emitGuarded,
  emitGuards,
  emitInstanceAdvice,
  emitMapping,
  emitName,
  emitSeal,
  writableMapping,
} from './mapping-program.js'
import type { Planning } from './planning.js'

const AT_FDCWD = -100
const O_RDWR_CLOEXEC = 0o2000002
const O_RDONLY_CLOEXEC = 0o2000000

export function emitOwnMemory(program: Program, planning: Planning, { pid, memory }: ProcessModel, emitter: Emitter): void {
  const { mappings } = memory
  program.for('shared memory', () => {
    for (const mapping of mappings) {
      const { kind, file, start, end } = mapping
      if (kind === MappingKind.fileShared && file !== null)
        program.for(`0x${start.toString(16)}-0x${end.toString(16)} of pid ${pid}`, () => {
          const fd = openShared(file, writableMapping(mapping), emitter)
          emitMapping(program, mapping, false, fd)
          program.call('close', [fd])
        })
      if (mapping.kind === MappingKind.anonymousShared) {
        planning.shared.emitMapping(program, mapping)
        emitName(program, mapping)
        emitGuarded(program, mapping)
      }
    }
    planning.shared.emitRelease(program)
    const shared = mappings.filter(({ kind }) => kind === MappingKind.fileShared || kind === MappingKind.anonymousShared)
    emitGuards(program, memory, shared)
    for (const mapping of shared) {
      emitProtectionKey(program, mapping)
      emitAdvice(program, mapping)
      emitSeal(program, mapping)
    }
    for (const mapping of mappings) emitInstanceAdvice(program, memory, mapping)
  })
}

function openShared(file: FileIdentity, writable: boolean, emitter: Emitter): Cell {
  if (file.deleted) return emitSharedDeleted(file, emitter, writable)
  const { program, bundle } = emitter
  return program.call('openat', [AT_FDCWD, bundle.string(file.path), writable ? O_RDWR_CLOEXEC : O_RDONLY_CLOEXEC, 0])
}
