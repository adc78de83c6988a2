/** From arguments to an exit status. */
import { Command, CommanderError } from 'commander'
import { addCheck } from './commands/check.js'
import { addDump } from './commands/dump.js'
import { addInspect } from './commands/inspect.js'
import { addRestore } from './commands/restore.js'
import { addVerify } from './commands/verify.js'
import { ExitCode, exitCodeFor } from './exit-code.js'
import { Output } from './output.js'
import type { OutputOptions } from './output.js'
import { UsageError } from './usage-error.js'
import { version } from './version.js'

/** Performs what a command does, with errors told and turned into an exit status. An action resolves to a status that is none of the usual. */
export type Perform = (options: OutputOptions, action: (output: Output) => Promise<number | void>) => Promise<void>

/** Runs a command to its end; resolves to the exit status. */
export async function run(args: readonly string[]): Promise<number> {
  let status: number = ExitCode.done
  const program = new Command('thaw').description('Checkpoints processes, and brings them back.').version(version()).exitOverride()
  for (const add of [addCheck, addDump, addRestore, addInspect, addVerify])
    add(program, async (options, action) => {
      status = await perform(options, action)
    })
  try {
    await program.parseAsync(args, { from: 'user' })
    return status
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return usage(error, args.includes('--json'))
  }
}

async function perform(options: OutputOptions, action: (output: Output) => Promise<number | void>): Promise<number> {
  const output = new Output(options)
  try {
    return (await action(output)) ?? ExitCode.done
  } catch (error) {
    output.error(error)
    return exitCodeFor(error)
  } finally {
    output.endProgress()
  }
}

/** Commander has said what is wrong, on standard error; help and the version are no errors. */
function usage({ exitCode, message }: CommanderError, json: boolean): number {
  if (exitCode === 0) return ExitCode.done
  if (json) new Output({ json }).error(new UsageError(message))
  return ExitCode.usage
}
