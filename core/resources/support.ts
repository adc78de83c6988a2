/** What is carried of a resource, said where it is carried. README's table is made of it (`npm run table`). */

/** Rows of the table, in their order. */
export const topics = ['task', 'memory', 'descriptors', 'terminals', 'sockets', 'around the tree'] as const

export interface Support {
  readonly topic: (typeof topics)[number]
  /** Carried exactly, in a few words; left out where a file only refuses. */
  readonly carried?: string
  /** Carried with conditions: whole sentences about what is not exact, or takes a privilege. */
  readonly conditions?: readonly string[]
  /** By error code, what is refused under it. */
  readonly refused?: Readonly<Record<string, string>>
}
