/** Restores, measured in turn with the floor, so that whatever else the machine does falls on all alike. */
import { openSync } from 'node:fs'
import type { Instance, Template } from '../dist/core/index.js'
import { Floor } from './floor.ts'
import { memoryBelow } from './memory.ts'
import type { Connect, Place, Program } from './programs/program.ts'
import type { Percentiles } from './result.ts'
import { connectionsTo } from './start.ts'
import { median, percentiles, timeOf } from './statistics.ts'

const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const
/** Not counted: what is done for the first time takes longer. */
const WARM_UP = 3

export interface Templates {
  readonly host: Template
  readonly new: Template
}

export interface Subject {
  readonly program: Program
  readonly place: Place
  readonly repeats: number
  /** For the floor: the memory that is carried, and the threads beside the first of each process. */
  readonly megabytes: number
  readonly threads: number
  readonly processes: number
}

export interface Restores {
  readonly restoreMs: Percentiles
  readonly restoreNetMs: Percentiles
  readonly waitMs: Percentiles
  readonly floorMs: number
  readonly floorNetMs: number
  readonly instanceBytes: number
}

export async function measureRestores(subject: Subject, templates: Templates): Promise<Restores> {
  const { megabytes, threads, processes, repeats } = subject
  const shared = subject.program.ownNetwork ? 'new' : 'host'
  await using floor = await Floor.open({ megabytes, threads, processes, network: shared })
  await using floorNet = await Floor.open({ megabytes, threads, processes, network: 'new' })
  const times = {
    floor: [] as number[],
    restore: [] as number[],
    floorNet: [] as number[],
    restoreNet: [] as number[],
    wait: [] as number[],
  }
  for (let i = -WARM_UP; i < repeats; i++) {
    const round = {
      floor: await floor.measure(),
      restore: await restore(templates.host),
      floorNet: await floorNet.measure(),
      restoreNet: await restore(templates.new),
      wait: await waitFor(templates.new),
    }
    if (i >= 0) for (const name of Object.keys(times) as (keyof typeof times)[]) times[name].push(round[name])
  }
  return {
    restoreMs: percentiles(times.restore),
    restoreNetMs: percentiles(times.restoreNet),
    waitMs: percentiles(times.wait),
    floorMs: median(times.floor),
    floorNetMs: median(times.floorNet),
    instanceBytes: await measureMemory(subject, templates.new),
  }
}

async function restore(template: Template): Promise<number> {
  await using instance = await template.spawn({ stdio })
  return instance.timings.restoreMs
}

async function waitFor(template: Template): Promise<number> {
  await using instance = await template.spawn({ stdio, standby: true })
  return await timeOf(() => instance.open())
}

/** After a bit of work: a copy that has done nothing shares nearly everything. */
async function measureMemory({ program, place }: Subject, template: Template): Promise<number> {
  await using instance = await template.spawn({ stdio })
  const connect = connectTo(instance)
  await program.use(connect, place)
  const bytes = memoryBelow(instance.sandbox.initPid)
  await program.verify(connect, place)
  return bytes
}

const connectTo = ({ sandbox }: Instance): Connect => connectionsTo(sandbox)
