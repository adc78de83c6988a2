/** Arguments that several commands have. */
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'

/** The largest pid_t; kernels give out far smaller ones. */
const HIGHEST_PID = 2_147_483_647

export function parsePid(text: string): number {
  const pid = Number(text)
  if (!/^\d+$/.test(text) || pid < 1 || pid > HIGHEST_PID) throw new InvalidArgumentError('A pid is a number from 1 on.')
  return pid
}

export const withOutputOptions = (command: Command): Command =>
  command.option('--json', 'print one JSON object').option('-v, --verbose', 'tell each step')
