/** What a row of the bench starts, and how it is talked to. */
import type { Socket } from 'node:net'

/** What one start of a program has to itself. */
export interface Place {
  /** Empty, absolute. */
  readonly folder: string
  /** Free on the host, so that it is free in every network namespace. */
  readonly port: number
}

/** Connects to a port where the program runs. */
export type Connect = (port: number) => Promise<Socket>

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
}

export interface Program {
  readonly name: string
  /** Restores of each kind that are measured. */
  readonly repeats: number
  /** Set for what takes minutes. */
  readonly onlyIfNamed?: true
  /** Why it cannot be started on this machine, if it cannot. */
  readonly missing?: string | undefined
  /** Set for what has ports or connections that only a network of its own is sure to have free: its copies then always get one. */
  readonly ownNetwork?: true
  command(place: Place): Command
  /** Resolves once it does its work. Its standard output goes to `stdout`, a file. */
  ready(connect: Connect, place: Place, stdout: string): Promise<void>
  /** Work that makes it worth keeping. */
  warmUp(connect: Connect, place: Place): Promise<void>
  /** A bit of work, as a test would have it done; fails when the program is not what it was. */
  use(connect: Connect, place: Place): Promise<void>
  /** Whatever can be said for sure about a copy, however long it takes. */
  verify(connect: Connect, place: Place): Promise<void>
}
