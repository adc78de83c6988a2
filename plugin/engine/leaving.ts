/** What may be in the way of a copy until it is gone, of all fixtures: two may lock one file, or listen at one path. */
const leaving = new Set<Promise<unknown>>()

export function leaves(gone: Promise<void>): void {
  const left: Promise<unknown> = gone.catch(() => {}).finally(() => leaving.delete(left))
  leaving.add(left)
}

/** Resolves when all are gone that were on their way out. */
export async function allLeft(): Promise<void> {
  await Promise.all(leaving)
}
