/** This process as a tree: its descriptors are real, and are made by the test itself. */
import { closeSync } from 'node:fs'
import type { SeenDescription, SeenProcess, SeenTree } from '../../dist/core/resources/description.js'
import { seeDescriptors, seenTree, type SeenDescriptors } from '../../dist/core/resources/descriptors.js'
import { kindOf } from '../../dist/core/resources/kinds.js'
import { native } from '../../dist/native/index.js'

export class OwnTree implements Disposable {
  readonly tree: SeenTree
  readonly process: SeenProcess
  readonly #seen: SeenDescriptors

  constructor(options: { frozen?: boolean; tcp?: 'refuse' | 'close' } = {}) {
    const pid = process.pid
    this.process = { pid, innerPid: pid, name: 'test', rootPath: `/proc/${pid}/root`, pidfd: native.pidfdOpen(pid), parentPid: 0 }
    this.#seen = seeDescriptors([this.process])
    const given = {
      options: { tcp: options.tcp ?? 'refuse' },
      frozen: options.frozen ?? true,
      keepContent: () => undefined,
      askInside: () => undefined,
      afterwards: () => undefined,
    } as const
    this.tree = seenTree([this.process], this.#seen, given, [])
  }

  seen(fd: number): SeenDescription {
    const seen = this.tree.descriptionOf(this.process, fd)
    if (seen === undefined) throw new Error(`descriptor ${fd} is not open`)
    return seen
  }

  kind(fd: number): string | undefined {
    return kindOf(this.seen(fd), this.tree)?.name
  }

  collect(fd: number): Record<string, unknown> {
    const kind = kindOf(this.seen(fd), this.tree)
    if (kind === undefined) throw new Error(`descriptor ${fd} is of no kind`)
    return kind.collect(this.seen(fd), this.tree) as Record<string, unknown>
  }

  [Symbol.dispose](): void {
    this.#seen[Symbol.dispose]()
    closeSync(this.process.pidfd)
  }
}

/** Descriptors that end with the test. */
export class OwnDescriptors implements Disposable {
  readonly #fds = new Set<number>()

  keep<T extends number | readonly number[]>(fds: T): T {
    for (const fd of [fds].flat() as number[]) this.#fds.add(fd)
    return fds
  }

  close(fd: number): void {
    this.#fds.delete(fd)
    closeSync(fd)
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) closeSync(fd)
  }
}
