/**
 * System V objects of an instance in the IPC namespace of this process, which others live in, too. They outlive who made them, so that a restore that
 * comes to nothing has to remove them itself, or have them removed where it is killed.
 */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import { RestoreError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { readOwnTable } from '../resources/sysv/table.js'
import type { SysvKind, SysvLine, SysvPermissions } from '../resources/sysv/table.js'
import { Remover } from './remover.js'

interface Wanted {
  readonly kind: SysvKind
  readonly permissions: SysvPermissions
}

const kinds = { shm: ['shared memory', 'm'], sem: ['semaphores', 's'], msg: ['messages', 'q'] } as const
/** The lower part of an id is the object's place, which only one can have. */
const INDEX_BITS = 0x7fffn
const IPC_RMID = 0
const IPC_PRIVATE = 0
const OWN_MODE = 0o600

const idOf = (line: SysvLine, kind: SysvKind): bigint => line[`${kind === 'msg' ? 'msq' : kind}id`] ?? -1n

export class SysvObjects {
  readonly #wanted: readonly Wanted[]
  readonly #pids: ReadonlySet<number>
  readonly #before: ReadonlyMap<SysvKind, ReadonlySet<bigint>>
  #remover: Remover | undefined

  /** @throws RestoreError THAW_SYSV_TAKEN, with what stands in the way of an object of the image */
  constructor(image: ImageModel) {
    this.#wanted = wantedBy(image)
    this.#pids = new Set(image.processes.map(({ pid }) => pid))
    const before = new Map<SysvKind, ReadonlySet<bigint>>()
    for (const kind of new Set(this.#wanted.map((wanted) => wanted.kind))) {
      const lines = readOwnTable(kind)
      before.set(kind, new Set(lines.map((line) => idOf(line, kind))))
      for (const wanted of this.#wanted) if (wanted.kind === kind) requireFree(wanted, lines)
    }
    this.#before = before
  }

  /** @returns what the instance is to hold, and the caller to close: nothing where it makes no such objects */
  startRemover(): number[] {
    if (this.#wanted.length === 0) return []
    this.#remover = new Remover(this.#wanted.length)
    return [this.#remover.held]
  }

  /** When the instance runs: they are its own. */
  async keep(): Promise<void> {
    await this.#remover?.ended()
  }

  /** What has been made since, when nobody of the instance is there any more: once more, as the one who is to remove it may have been killed. */
  async remove(): Promise<void> {
    await this.#remover?.ended()
    for (const [kind, before] of this.#before) {
      const wanted = this.#wanted.filter((candidate) => candidate.kind === kind).map(({ permissions }) => permissions)
      for (const line of readOwnTable(kind)) {
        const id = idOf(line, kind)
        if (before.has(id) || !wanted.some((permissions) => isFor(permissions, line, id, this.#pids))) continue
        removeObject(kind, id)
      }
      forgetNextId(kind, wanted)
    }
  }
}

function wantedBy({ sharedMemory, semaphores, queues }: ImageModel): Wanted[] {
  return [
    ...sharedMemory.flatMap(({ segment }) => (segment === null ? [] : [{ kind: 'shm' as const, permissions: segment.permissions }])),
    ...semaphores.map(({ permissions }) => ({ kind: 'sem' as const, permissions })),
    ...queues.map(({ permissions }) => ({ kind: 'msg' as const, permissions })),
  ]
}

function requireFree({ kind, permissions: { id, key } }: Wanted, lines: readonly SysvLine[]): void {
  const isInTheWay = (line: SysvLine): boolean =>
    (key !== 0 && line['key'] === BigInt(key)) || ((idOf(line, kind) ^ BigInt(id)) & INDEX_BITS) === 0n
  const other = lines.find(isInTheWay)
  if (other === undefined) return
  const [what, letter] = kinds[kind]
  const found = idOf(other, kind)
  throw new RestoreError(
    'THAW_SYSV_TAKEN',
    `Cannot restore System V ${what} ${id} (key ${hex(key)}): ${found} (key ${hex(Number(other['key']))}) is in its place here. Remove that (ipcrm -${letter} ${found}) if nobody needs it, or restore into a pid namespace of its own (--pid-namespace new), which has such objects of its own.`,
  )
}

const hex = (key: number): string => `0x${(key >>> 0).toString(16)}`

/** By its id or its key; a segment without either, as one that got another id, by who made it. */
function isFor(wanted: SysvPermissions, line: SysvLine, id: bigint, pids: ReadonlySet<number>): boolean {
  return id === BigInt(wanted.id) || (wanted.key !== 0 && line['key'] === BigInt(wanted.key)) || pids.has(Number(line['cpid'] ?? 0n))
}

const removeObject = (kind: SysvKind, id: bigint): unknown =>
  native.syscall(`${kind}ctl`, kind === 'sem' ? [id, 0, IPC_RMID, 0] : [id, IPC_RMID, 0])

/** An id that was asked for and not given would be that of the next object of anybody; the kernel forgets it only by giving it. */
function forgetNextId(kind: SysvKind, wanted: readonly SysvPermissions[]): void {
  const next = Number(readFileSync(`/proc/sys/kernel/${kind}_next_id`, 'utf8'))
  if (!wanted.some(({ id }) => id === next)) return
  removeObject(kind, native.syscall(`${kind}get`, [IPC_PRIVATE, ...(kind === 'msg' ? [] : [1]), OWN_MODE]))
}
