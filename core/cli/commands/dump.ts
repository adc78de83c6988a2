/** thaw dump PID --images DIR: checkpoints a process. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { checkpoint, closeCheckpointPool } from '../../checkpoint/run.js'
import { parsePid, withOutputOptions } from '../arguments.js'
import type { Output, OutputOptions } from '../output.js'
import type { Perform } from '../run.js'
import { bytes, milliseconds } from '../units.js'

interface DumpOptions extends OutputOptions {
  readonly images: string
  readonly leaveRunning?: boolean
  readonly leaveStopped?: boolean
  readonly tcpClose?: boolean
  readonly shellJob?: boolean
}

export function addDump(program: Command, perform: Perform): void {
  const command = program
    .command('dump')
    .description('Checkpoint a process. It ends once its image is committed, unless asked otherwise; if anything fails, it runs on.')
    .argument('<pid>', 'its process id', parsePid)
    .requiredOption('--images <dir>', 'folder to write the image to; must not exist, or be empty')
    .addOption(new Option('--leave-running', 'let it run on').conflicts('leaveStopped'))
    .option('--leave-stopped', 'leave it stopped (SIGSTOP)')
    .option('--tcp-close', 'let it find its TCP connections to the outside closed when it is restored')
    .option('--shell-job', 'accept a process that was started from a shell: it gets a session of its own')
  withOutputOptions(command).action((pid: number, options: DumpOptions) => perform(options, (output) => dump(pid, options, output)))
}

async function dump(pid: number, options: DumpOptions, output: Output): Promise<void> {
  const then = options.leaveRunning === true ? 'resume' : options.leaveStopped === true ? 'stop' : 'kill'
  const tcp = options.tcpClose === true ? 'close' : 'refuse'
  try {
    const { image, standstillMs, totalMs } = await checkpoint(pid, {
      to: options.images,
      then,
      tcp,
      shellJob: options.shellJob ?? false,
      onStep: (step) => output.step(`dump: ${step}`),
    })
    await using kept = image
    const { processes, sizeBytes } = kept
    output.result(
      { pid, images: options.images, then, processes, sizeBytes, standstillMs, totalMs },
      `Checkpointed pid ${pid} (${processes[0]?.command ?? ''}) to ${options.images}: ${bytes(sizeBytes)}; it stood still for ${milliseconds(standstillMs)} and ${outcomes[then]}.`,
    )
  } finally {
    await closeCheckpointPool()
  }
}

const outcomes = { resume: 'runs on', stop: 'is stopped', kill: 'has ended' } as const
