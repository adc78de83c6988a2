import type { Copy } from './copy.js'
import type { Launch } from './launch.js'

/** A sandbox that a worker may use for a while: where a warm-up starts things, or a copy for a test. */
export type Place = Launch | Copy

let last = 0
/** Numbers for workers to name their places by. */
export const nextPlaceId = (): number => ++last
