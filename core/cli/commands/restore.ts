/** thaw restore --images DIR: brings a process back, in the foreground or detached. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { openImage } from '../../image/image.js'
import type { Image } from '../../image/image.js'
import { verifyPages } from '../../image/store.js'
import type { Instance } from '../../restore/instance.js'
import { openHost } from '../../sandbox/host.js'
import type { Host } from '../../sandbox/host.js'
import { withOutputOptions } from '../arguments.js'
import { forwardSignals } from '../forward-signals.js'
import type { Output, OutputOptions } from '../output.js'
import { PidFile } from '../pid-file.js'
import type { Perform } from '../run.js'
import { milliseconds } from '../units.js'
import { enterUserNamespace } from '../user-namespace.js'

interface RestoreOptions extends OutputOptions {
  readonly images: string
  readonly detach?: boolean
  readonly pidFile?: string
  readonly pidNamespace: 'new' | 'current'
  readonly network: 'new' | 'host'
}

export function addRestore(program: Command, perform: Perform): void {
  const command = program
    .command('restore')
    .description('Bring a process back from its image. In the foreground its exit status becomes that of this command.')
    .requiredOption('--images <dir>', 'folder that the image was written to')
    .option('--detach', 'return as soon as it runs, and let it live on')
    .option('--pid-file <file>', 'write its pid to this file, as seen from here')
    .addOption(
      new Option('--pid-namespace <which>', 'give it a pid namespace of its own, or the one it is restored from')
        .choices(['new', 'current'])
        .default('new'),
    )
    .addOption(new Option('--network <which>', 'network that it finds').choices(['host', 'new']).default('host'))
  withOutputOptions(command).action((options: RestoreOptions) => {
    return perform(options, (output) => restore(options, output))
  })
}

async function restore(options: RestoreOptions, output: Output): Promise<number | void> {
  // The pids of the current namespace are not for a user namespace of ours to give.
  if (options.pidNamespace === 'new') enterUserNamespace()
  const started = performance.now()
  output.step('restore: image')
  await using image = await openImage(options.images)
  // Takes as long as loading them: beside it, and before anything runs.
  const undamaged = verifyPages(options.images)
  undamaged.catch(() => undefined)
  await using host = await openHost()
  await using instance = await standBy(image, host, options, output)
  await undamaged
  const { pid } = instance
  using pidFile = options.pidFile === undefined ? undefined : new PidFile(options.pidFile, pid)
  using _signals = options.detach === true ? undefined : forwardSignals(pid)
  output.step('restore: go')
  await instance.open()
  pidFile?.commit()
  output.endProgress()
  // In the foreground, standard output belongs to the process from here on: no result is told, with --json either.
  if (options.detach !== true) return await exitStatus(instance)
  instance.detach()
  tellDetached(image, instance, pid, performance.now() - started, output)
}

/** Restored to its last instruction, with the template gone again. */
async function standBy(image: Image, host: Host, { network, pidNamespace }: RestoreOptions, output: Output): Promise<Instance> {
  output.step('restore: memory')
  await using template = await image.load(host, { network, pidNamespace })
  output.step('restore: process')
  return await template.spawn({ stdio: [0, 1, 2], standby: true })
}

/** As a shell has it. */
async function exitStatus(instance: Instance): Promise<number> {
  const { code, signal } = await instance.exited
  return code ?? 128 + (signal ?? 0)
}

function tellDetached(image: Image, instance: Instance, pid: number, totalMs: number, output: Output): void {
  const { innerPid, timings } = instance
  const command = image.processes[0]?.command ?? ''
  output.result(
    { pid, innerPid, command, processes: image.processes, ...timings, totalMs },
    `Restored pid ${innerPid} (${command}) as pid ${pid} in ${milliseconds(totalMs)}.`,
  )
}
