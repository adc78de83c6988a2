/**
 * From an image to the programs that bring it back. A plan is compiled once per image; what differs from one instance to the next
 * comes in as descriptors (`SPAWN_DESCRIPTORS`).
 *
 *   template ──fork──▶ spare ──clone3──▶ helper ──clone3(set_tid)──▶ root ──clone3(set_tid)──▶ its threads
 */
import { CheckpointError, ThawError } from '../errors.js'
import { contradiction } from '../image/contradiction.js'
import type { ImageModel, ProcessModel } from '../image/model.js'
import { Bundle } from '../program/bundle.js'
import { interpreterCode } from '../checkpoint/parasite.js'
import { findHole } from '../checkpoint/space.js'
import { SPAWN_DESCRIPTORS } from './planning.js'
import { countForeign } from './remover.js'
import type { PlanOptions, Planning, SpawnDescriptors } from './planning.js'
import { familyOf } from './family.js'
import { Inheritance } from './inheritance.js'
import { firstUnused } from './open-files.js'
import { Processes } from './process-program.js'
import { SharedPage } from './shared-page.js'
import { Stow, stowedIn } from './stow.js'
import { emitSpawning } from './spawning.js'
import { emitTemplate } from './template-program.js'
import { Vdso } from './vdso-move.js'

export interface Plan {
  /** Address of the interpreter; the bundle follows it. */
  readonly base: bigint
  readonly codeBytes: number
  readonly bundle: Bundle
  /** Interpreter and bundle, to be mapped at `base`. */
  encode(): Uint8Array
}

/** Room for interpreter and bundle, of which nearly all take less than one step. */
const REGION_STEP = 64n << 20n
/** Room at the end of it, where the vDSO stands aside. */
const VDSO_BYTES = 1n << 20n

/** @throws ImageError where parts of the image contradict each other, or a value is not what it is to be */
export function compile(image: ImageModel, options: PlanOptions): Plan {
  return orContradiction(() => {
    // All addresses are compiled in, so what has turned out to need more room is compiled again.
    for (let regionBytes = REGION_STEP; ;) {
      const plan = compileInto(regionBytes, image, options)
      const needed = BigInt(plan.codeBytes + plan.bundle.sizeBytes) + VDSO_BYTES
      if (needed <= regionBytes) return plan
      regionBytes = ((needed + REGION_STEP - 1n) / REGION_STEP) * REGION_STEP
    }
  })
}

function orContradiction<T>(make: () => T): T {
  try {
    return make()
  } catch (cause) {
    // Of room in an address space, more is asked for than any tree can have had.
    if (cause instanceof ThawError && !(cause instanceof CheckpointError)) throw cause
    throw contradiction(`its programs cannot be made (${(cause as Error).message})`, cause)
  }
}

function compileInto(regionBytes: bigint, image: ImageModel, options: PlanOptions): Plan {
  const root = image.processes[0]
  if (root === undefined) throw new Error('an image without a process')
  const code = interpreterCode()
  const taken = image.processes.flatMap(({ memory }) => memory.mappings)
  const family = familyOf(image)
  const inheritance = new Inheritance(family)
  const room = placeBeside(image, inheritance, 0n, 0n).end
  const base = findHole(taken, regionBytes + room)
  const bundle = new Bundle(base + BigInt(code.length))
  // The first data: where thaw-init leaves the address of its vDSO and finds the stack (native/init/template.c).
  const handover = bundle.allocate(16)
  // The first program: what thaw-init enters.
  const main = bundle.program('template')
  main.onFailure = bundle.program('template failed')
  const instanceFailed = bundle.program('instance failed')
  const planning: Planning = {
    image,
    options,
    bundle,
    root,
    family,
    inheritance,
    ...placeBeside(image, inheritance, base + regionBytes, bundle.allocate(8)),
    scratch: firstUnused(image),
    serviceBase: firstUnused(image) + 1,
    region: { start: base, end: base + regionBytes + room },
    vdso: new Vdso(image, options.own.vdso, base + regionBytes - VDSO_BYTES),
    spawn: Object.fromEntries(SPAWN_DESCRIPTORS.map((name) => [name, bundle.cell(name)])) as unknown as SpawnDescriptors,
    remover: countForeign(image, options) > 0 ? bundle.cell('remover') : undefined,
    pageFile: bundle.cell('pages'),
    control: bundle.cell('control'),
    report: bundle.cell('report'),
    helperPid: bundle.cell('pid of the helper'),
    helper: bundle.program('helper', instanceFailed),
    helperTurn: bundle.allocate(8),
    spareTid: bundle.allocate(8),
    failed: { instance: instanceFailed, template: main.onFailure },
  }
  const { helper } = planning
  const spare = bundle.program('spare', instanceFailed)
  const restorer = bundle.program(`root ${root.pid}`, instanceFailed)
  emitTemplate(main, planning, handover)
  emitSpawning(main, { spare, helper, root: restorer }, planning)
  new Processes(planning).emit(restorer)
  // What it makes has come in between.
  helper.call('exit', [0])
  const stackTop = bundle.stack(16384)
  return { base, codeBytes: code.length, bundle, encode: () => orContradiction(() => encode(code, bundle, handover, stackTop)) }
}

/** What stands beside the interpreter: shared words and memory, and the memory of processes other than the first. */
function placeBeside(
  image: ImageModel,
  inheritance: Inheritance,
  start: bigint,
  isThere: bigint,
): Pick<Planning, 'shared' | 'stows'> & { readonly end: bigint } {
  const shared = new SharedPage(image, start, isThere)
  const stows = new Map<ProcessModel, Stow>()
  let at = shared.end
  for (const process of image.processes.slice(1)) {
    // What is inherited comes by the fork itself.
    const inherited = inheritance.of(process)
    const stow = new Stow(
      stowedIn(process.memory).filter((mapping) => !inherited.has(mapping)),
      at,
    )
    stows.set(process, stow)
    at = stow.range.end
  }
  return { shared, stows, end: at }
}

function encode(code: Uint8Array, bundle: Bundle, handover: bigint, stackTop: bigint): Uint8Array {
  const encoded = bundle.encode()
  const bytes = new Uint8Array(code.length + encoded.length)
  bytes.set(code)
  bytes.set(encoded, code.length)
  new DataView(bytes.buffer).setBigUint64(code.length + Number(handover - bundle.base) + 8, stackTop, true)
  return bytes
}
