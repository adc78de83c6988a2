/** Checkpoints of a program that goes on, each to disk. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkpoint } from '../dist/core/index.js'
import { remove } from './place.ts'
import { median } from './statistics.ts'

const REPEATS = 5

export interface Checkpoints {
  readonly checkpointMs: number
  readonly standstillMs: number
  /** Allocated on disk. */
  readonly imageBytes: number
  /** Of the last one, which is kept. */
  readonly folder: string
}

export async function measureCheckpoints(pid: number, below: string): Promise<Checkpoints> {
  const total: number[] = []
  const standstill: number[] = []
  const folder = join(below, 'image')
  for (let i = 0; i < REPEATS; i++) {
    remove(folder)
    const { image, totalMs, standstillMs } = await checkpoint(pid, { to: folder })
    await image[Symbol.asyncDispose]()
    total.push(totalMs)
    standstill.push(standstillMs)
  }
  return { checkpointMs: median(total), standstillMs: median(standstill), imageBytes: diskBytes(folder), folder }
}

function diskBytes(folder: string): number {
  const blocks = readdirSync(folder).map((file) => statSync(join(folder, file)).blocks)
  return blocks.reduce((sum, count) => sum + count * 512, 0)
}
