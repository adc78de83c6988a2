/** Multipath TCP (RFC 8684), which servers written in Go listen by on their own accord. */
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'

/** @param is continues "descriptor 21 …" */
export function refuseMptcp(seen: SeenDescription, is: string): never {
  throw refusal(
    seen,
    'THAW_MPTCP',
    `${is}, which is not carried`,
    'Use TCP in its place: programs written in Go do with GODEBUG=multipathtcp=0 in their environment.',
  )
}
