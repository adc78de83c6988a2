/** What the parasite is asked: all that only the process, or each of its threads, can tell. */
import type { ProcessModel } from '../image/model.js'
import type { AskInside, SeenProcess } from '../resources/description.js'
import { innermost, readStatus } from '../proc/status.js'
import { askSecurebits } from '../resources/credentials.js'
import { askIntervalTimers } from '../resources/interval-timers.js'
import { askPosixTimers } from '../resources/posix-timers.js'
import type { PendingSignals } from '../resources/posix-timers.js'
import { askProcessSettings } from '../resources/process-settings.js'
import type { ProcessSettings } from '../resources/process-settings.js'
import { askProtectionKeys } from '../resources/protection-keys.js'
import { askSignalActions } from '../resources/signal-actions.js'
import { askThreadSettings } from '../resources/thread-settings.js'
import type { AskedSettings } from '../resources/thread-settings.js'
import type { Program } from '../program/program.js'
import { ParasiteProgram } from './parasite.js'
import type { ParasiteResults } from './parasite.js'

export type TimerAnswers = Pick<ProcessModel, 'intervalTimers' | 'posixTimers'>

export type Answers = ProcessSettings &
  TimerAnswers &
  Pick<ProcessModel, 'signalActions'> & {
    readonly brk: bigint
    readonly protectionKeys: number[]
    readonly leader: ThreadAnswers
  }

export type ThreadAnswers = AskedSettings & { readonly securebits: number }

/** What kinds of descriptions have processes ask. */
export class Asked {
  readonly #questions: { readonly pid: number; readonly ask: AskInside; readonly isLast: boolean }[] = []

  add({ pid }: SeenProcess, ask: AskInside, order?: 'last'): void {
    this.#questions.push({ pid, ask, isLast: order === 'last' })
  }

  of(pid: number): AskInside[] {
    const own = this.#questions.filter((question) => question.pid === pid)
    return [false, true].flatMap((isLast) => own.filter((question) => question.isLast === isLast).map(({ ask }) => ask))
  }
}

/** A parasite's program, and how to read what it found out. */
export interface Questions<T> {
  readonly program: ParasiteProgram
  read(results: ParasiteResults): T
}

/** For a thread that is not the leader. */
export function compileThreadQuestions(region: bigint): Questions<ThreadAnswers> {
  const program = new ParasiteProgram(region)
  return { program, read: askThread(program.main) }
}

function askThread(program: Program): (results: ParasiteResults) => ThreadAnswers {
  const [readSettings, readSecurebits] = [askThreadSettings(program), askSecurebits(program)]
  return (results) => ({ ...readSettings(results), securebits: readSecurebits(results) })
}

/**
 * For the leader.
 * @param region a hole in the target's address space
 * @param pending signals of the frozen process
 */
export function compileQuestions(
  pid: number,
  region: bigint,
  pending: PendingSignals,
  asked: readonly AskInside[] = [],
): Questions<Answers> {
  const program = new ParasiteProgram(region)
  const { main } = program
  // First: of timers, signals are taken and put back, which is news to who watches them.
  const tellOthers = asked.map((ask) => ask(main))
  const readActions = askSignalActions(main)
  const readTimers = askTimers(main, pid, pending)
  const readSettings = askProcessSettings(main, pid, readStatus(pid))
  const readKeys = askProtectionKeys(main)
  const readLeader = askThread(main)
  const brk = main.call('brk', [0])
  const read = (results: ParasiteResults): Answers => {
    for (const tell of tellOthers) tell(results)
    return {
      signalActions: readActions(results),
      ...readTimers(results),
      ...readSettings(results),
      protectionKeys: readKeys(results),
      leader: readLeader(results),
      brk: results.cell(brk),
    }
  }
  return { program, read }
}

/** For the leader, once more where a timer has sent its signal while it was asked. */
export function compileTimerQuestions(pid: number, region: bigint, pending: PendingSignals): Questions<TimerAnswers> {
  const program = new ParasiteProgram(region)
  return { program, read: askTimers(program.main, pid, pending) }
}

function askTimers(program: Program, pid: number, pending: PendingSignals): (results: ParasiteResults) => TimerAnswers {
  const readIntervals = askIntervalTimers(program, pid, pending)
  const readPosix = askPosixTimers(program, pid, (tid) => innerTid(pid, tid), pending)
  return (results) => ({ intervalTimers: readIntervals(results), posixTimers: readPosix(results) })
}

/** As /proc/PID/timers prints it, in the pid namespace of the reader, to as the process sees it. */
const innerTid = (pid: number, tid: number): number => innermost(readStatus(pid, tid), 'NSpid')
