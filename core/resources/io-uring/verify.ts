/** Whether a ring of an image is one: its program counts in steps of its size, and copies to where the image says. */
import type { DescriptionModel, ImageModel, Mapping } from '../../image/model.js'
import { MappingKind } from '../../image/model.js'
import { SQE_BYTES } from './layout.js'
import { lengthOf, longest, MOST_COUNT } from './ring.js'
import type { IoUring } from './ring.js'

/** IORING_MAX_ENTRIES, and twice as many completions. */
const MOST_ENTRIES = 1 << 15
const MOST_COMPLETIONS = 2 * MOST_ENTRIES
const WORD_BYTES = 4

const isSize = (entries: number, most: number): boolean => entries >= 1 && entries <= most && (entries & (entries - 1)) === 0

export function verifyRing(ring: IoUring, image: ImageModel, require: (fits: boolean, otherwise: string) => void): void {
  const { sqEntries, cqEntries, count, mappings } = ring
  require(isSize(sqEntries, MOST_ENTRIES) &&
    isSize(cqEntries, MOST_COMPLETIONS), `is an io_uring, which cannot have ${sqEntries} and ${cqEntries} entries`)
  require(count <= MOST_COUNT, `is an io_uring that cannot be brought to ${count} requests`)
  const own = homeMappings(ring, image)
  for (const { start, end } of mappings)
    require(own.some(
      (mapping) => mapping.start === start && mapping.end === end,
    ), `is an io_uring with memory at 0x${start.toString(16)}, which its process has not mapped`)
  const [rings, sqes] = [longest(mappings, false), longest(mappings, true)]
  require(rings !== undefined && sqes !== undefined, 'is an io_uring that has no memory')
  if (rings !== undefined && sqes !== undefined) verifyContents(ring, Number(lengthOf(rings)), Number(lengthOf(sqes)), require)
}

function verifyContents(ring: IoUring, ringsBytes: number, sqesBytes: number, require: (fits: boolean, otherwise: string) => void): void {
  const { sqEntries, sqHead, sqTail, cqHead, cqTail, array, sqArray, rings, sqes } = ring
  require(rings.length <= ringsBytes && sqes.length <= sqesBytes, 'is an io_uring with contents behind the end of its memory')
  require(sqEntries * SQE_BYTES <= sqesBytes, 'is an io_uring with entries behind the end of its memory')
  const isWord = (offset: number): boolean => offset % WORD_BYTES === 0 && offset + WORD_BYTES <= ringsBytes
  require([sqHead, sqTail, cqHead, cqTail].every(isWord), 'is an io_uring with counters behind the end of its memory')
  require(!sqArray || array + sqEntries * WORD_BYTES <= ringsBytes, 'is an io_uring with indices behind the end of its memory')
}

/** Of the first process that has the ring, which makes it. */
function homeMappings(ring: IoUring, { processes, descriptions }: ImageModel): Mapping[] {
  const id = descriptions.find(({ payload }: DescriptionModel) => payload === ring)?.id
  const home = processes.find(({ descriptors }) => descriptors.some(({ description }) => description === id))
  return home?.memory.mappings.filter(({ kind }) => kind === MappingKind.ioUring) ?? []
}
