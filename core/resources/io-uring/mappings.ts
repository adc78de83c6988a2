/**
 * Which mappings are the memory of which ring. The kernel's own have the ring's inode. A ring that was restored stands in memory of a
 * memfd, which bears the number of the ring's descriptor in its name.
 */
import { UnsupportedError } from '../../errors.js'
import type { MappingLine } from '../../proc/maps.js'
import type { SeenDescription, SeenProcess, SeenTree } from '../description.js'

export const IO_URING_LINK = 'anon_inode:[io_uring]'
const RESTORED = /^\/memfd:thaw-io-uring:(\d+) \(deleted\)$/
/** IORING_OFF_SQES. */
const OFFSET_SQES = 0x1000_0000n

export const restoredName = (fd: number): string => `thaw-io-uring:${fd}`

export interface RingLine extends MappingLine {
  /** Submission entries; else the two rings. */
  readonly sqes: boolean
}

export function linesOfRing(seen: SeenDescription, tree: SeenTree): RingLine[] {
  const own = tree.mappingsOf(seen.process).filter((line) => ringOf(seen.process, tree, line) === seen)
  return own.map((line) => ({ ...line, sqes: line.path === IO_URING_LINK ? line.offset === OFFSET_SQES : line.offset !== 0n }))
}

function ringOf(process: SeenProcess, tree: SeenTree, line: MappingLine): SeenDescription | undefined {
  const rings = tree.descriptions.filter((seen) => seen.link === IO_URING_LINK)
  if (line.path === IO_URING_LINK) return rings.find(({ status }) => status.inode === line.inode)
  const fd = RESTORED.exec(line.path)?.[1]
  return fd === undefined ? undefined : rings.find((ring) => ring === tree.descriptionOf(process, Number(fd)))
}

/** Memory of rings is made anew with them. That of a ring that no descriptor leads to would be lost. */
export function refuseStrayRings(tree: SeenTree): void {
  for (const process of tree.processes) {
    const stray = tree.mappingsOf(process).find((line) => isRingMemory(line) && ringOf(process, tree, line) === undefined)
    if (stray === undefined) continue
    const { pid, name } = process
    const message = `Cannot checkpoint pid ${pid} (${name}): the mapping at 0x${stray.start.toString(16)} is memory of an io_uring whose descriptor is closed. Keep the ring's descriptor open, or unmap its memory.`
    throw new UnsupportedError('THAW_IO_URING_NO_DESCRIPTOR', message, { pid })
  }
}

export const isRingMemory = ({ path }: Pick<MappingLine, 'path'>): boolean => path === IO_URING_LINK || RESTORED.test(path)

export function usesLibuv(process: SeenProcess, tree: SeenTree): boolean {
  return tree.mappingsOf(process).some(({ path }) => /\/(node|nodejs|libnode\.so[.\d]*|libuv\.so[.\d]*)$/.test(path))
}
