/** Which ranges of the template are worth collapsing into huge pages: a fork then copies one entry instead of 512. */
import type { Mapping, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { AddressRange } from '../checkpoint/space.js'
import { PAGE_BYTES } from '../checkpoint/pages.js'

const HUGE_BYTES = 2n << 20n
/** A range that is less full than this would cost more memory than its fork saves time. */
const LEAST_PAGES = 256n

/** 2 MiB ranges of anonymous memory that are at least half full, adjacent ones joined. */
export function denseRanges(mappings: readonly Mapping[], pages: readonly PageRange[]): AddressRange[] {
  const dense: { start: bigint; end: bigint }[] = []
  for (const [start, count] of [...countByHuge(pages)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (count < LEAST_PAGES || !mappings.some((mapping) => collapsible(mapping, start))) continue
    const last = dense.at(-1)
    if (last !== undefined && last.end === start) last.end += HUGE_BYTES
    else dense.push({ start, end: start + HUGE_BYTES })
  }
  return dense
}

function countByHuge(pages: readonly PageRange[]): Map<bigint, bigint> {
  const counts = new Map<bigint, bigint>()
  for (const { start, pageCount } of pages) {
    const end = start + pageCount * PAGE_BYTES
    for (let at = start; at < end;) {
      const huge = at & ~(HUGE_BYTES - 1n)
      const stop = huge + HUGE_BYTES < end ? huge + HUGE_BYTES : end
      counts.set(huge, (counts.get(huge) ?? 0n) + (stop - at) / PAGE_BYTES)
      at = stop
    }
  }
  return counts
}

const collapsible = ({ kind, start, end, flags }: Mapping, at: bigint): boolean =>
  kind === MappingKind.anonymous && start <= at && at + HUGE_BYTES <= end && !flags.includes('nh')
