/** One thing that a kernel, its configuration or its administrator gives or refuses; told by trying it. */
import type { SystemError } from '../../native/index.js'

export interface Feature {
  readonly name: string
  /** What fails without it; `some` processes only, or `speed`. */
  readonly neededFor: 'everything' | 'checkpoint' | 'restore' | 'some processes' | 'speed'
  /** Tries it. Resolves to a detail worth telling; throws where it does not work. */
  probe(): string | void | Promise<string | void>
  /** Why an errno came, by its name; '' for all others. */
  readonly reasons?: Readonly<Record<string, string>>
}

export interface Finding {
  readonly name: string
  readonly neededFor: Feature['neededFor']
  readonly works: boolean
  /** Why not, or a detail. */
  readonly reason: string
}

export async function examine(feature: Feature): Promise<Finding> {
  const { name, neededFor } = feature
  try {
    return { name, neededFor, works: true, reason: (await feature.probe()) ?? '' }
  } catch (error) {
    return { name, neededFor, works: false, reason: reasonOf(error as SystemError, feature.reasons ?? {}) }
  }
}

function reasonOf(error: SystemError, reasons: Readonly<Record<string, string>>): string {
  const known = reasons[error.code] ?? reasons['']
  // A message of ours says all; one of the kernel's says little.
  if (known === undefined) return error.message
  return error.code === undefined ? known : `${known} (${error.code})`
}
