/** Sequence numbers of TCP: 32 bits, wrapping (RFC 9293, 3.4). */

export const add = (sequence: number, count: number): number => (sequence + count) >>> 0

/** How far `to` is ahead of `from`; negative: behind. */
export const distance = (from: number, to: number): number => (to - from) | 0

export const earlier = (a: number, b: number): number => (distance(a, b) < 0 ? b : a)
export const later = (a: number, b: number): number => (distance(a, b) < 0 ? a : b)
