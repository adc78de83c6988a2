/** One row: start, warm up, checkpoint, load, restore. */
import type { Host, Image, Template } from '../dist/core/index.js'
import { openImage } from '../dist/core/index.js'
import { measureCheckpoints } from './checkpoints.ts'
import { measureCriu } from './criu.ts'
import { newPlace } from './place.ts'
import type { Program } from './programs/program.ts'
import { measureRestores } from './restores.ts'
import type { MeasuredRow } from './result.ts'
import { start } from './start.ts'
import { median } from './statistics.ts'

const COLD_STARTS = 3
const MEGABYTE = 1 << 20

export async function measureRow(host: Host, program: Program, repeats: number): Promise<MeasuredRow> {
  if (program.missing !== undefined) throw new Error(program.missing)
  using place = await newPlace()
  const coldMs = median(await coldStarts(host, program))
  const { folder, ...checkpoints } = await checkpointOf(host, program, place)
  await using image = await openImage(folder)
  await using own = await load(image, host, 'new')
  await using shared = await load(image, host, program.ownNetwork ? 'new' : 'host')
  const processes = image.model.processes.length
  const size = { megabytes: Math.round(image.sizeBytes / MEGABYTE), threads: threadsOf(image) - processes, processes }
  const restores = await measureRestores({ program, place, repeats, ...size }, { host: shared.template, new: own.template })
  const loadMs = Math.min(own.loadMs, shared.loadMs)
  return { name: program.name, coldMs, ...checkpoints, loadMs, ...restores, criu: await measureCriu(program), ...size }
}

async function coldStarts(host: Host, program: Program): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < COLD_STARTS; i++) {
    using place = await newPlace()
    await using started = await start(host, program, place)
    times.push(started.coldMs)
  }
  return times
}

async function checkpointOf(
  host: Host,
  program: Program,
  place: Awaited<ReturnType<typeof newPlace>>,
): ReturnType<typeof measureCheckpoints> {
  await using started = await start(host, program, place)
  await program.warmUp(started.connect, place)
  return await measureCheckpoints(started.process.pid, place.folder)
}

interface Loaded extends AsyncDisposable {
  readonly template: Template
  readonly loadMs: number
}

async function load(image: Image, host: Host, network: 'new' | 'host'): Promise<Loaded> {
  const started = performance.now()
  const template = await image.load(host, { network })
  return { template, loadMs: performance.now() - started, [Symbol.asyncDispose]: () => template[Symbol.asyncDispose]() }
}

const threadsOf = ({ model }: Image): number => model.processes.reduce((sum, { threads }) => sum + threads.length, 0)
