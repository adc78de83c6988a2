/** One frozen process: what is read from outside, from each of its threads, and by the parasite. */
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { CheckpointError, UnsupportedError } from '../errors.js'
import type { FileIdentity, Layout, Mapping, MemoryModel, PageRange, ProcessModel } from '../image/model.js'
import { innermost, readStat, readStatus } from '../proc/status.js'
import type { MappingLine } from '../proc/maps.js'
import type { SeenProcess, SeenTree } from '../resources/description.js'
import { descriptorModels } from '../resources/descriptors.js'
import type { SeenDescriptors } from '../resources/descriptors.js'
import { keepDeleted } from '../resources/deleted-mapping.js'
import { identityOf, statusIfThere } from '../resources/file-identity.js'
import { collectFileSystem } from '../resources/file-system.js'
import { collectJobControl } from '../resources/job-control.js'
import { collectLimits } from '../resources/limits.js'
import { collectMappings } from '../resources/mappings.js'
import { refuseMemoryPolicies } from '../resources/memory-policy.js'
import { withoutTimers } from '../resources/timer-signals.js'
import { withCarriedKeys } from '../resources/protection-keys.js'
import { refuseGuarded } from '../resources/shared-memory.js'
import type { SharedMemories } from '../resources/shared-memory.js'
import type { Gadgets } from './gadgets.js'
import { goingOn, unnoticed } from './going-on.js'
import { Injection, wipe } from './injection.js'
import type { Scratch, ThreadState } from './injection.js'
import { findGadgetPlace, LentGadgets, placeStands } from './lent-gadgets.js'
import type { GadgetPlace } from './lent-gadgets.js'
import type { PageFile } from './page-file.js'
import { readableIn } from './page-file.js'
import { PAGE_BYTES, scanPages } from './pages.js'
import type { PageScan } from './pages.js'
import { homeCalls, runParasite } from './parasite.js'
import { compileQuestions, compileThreadQuestions, compileTimerQuestions } from './questions.js'
import type { Asked, Questions } from './questions.js'
import { claimScratch, refuseWithoutRoom } from './scratch.js'
import { SIGTRAP } from './seize.js'
import type { SeizedProcess } from './seize.js'
import { asFirstMade } from './sleep.js'
import { findHole } from './space.js'
import { collectThread, prepareThread, timeLimitIn } from './threads.js'
import { unheardSignal } from './unheard-signal.js'
import { pendingIn, timersFired, waitingSignals } from './waiting-signals.js'

/** What is done before the freeze because it takes long: the search through a libc, and a guess at how much there is to copy. */
export interface Rehearsal {
  readonly gadgets: GadgetPlace
  readonly pageBytes: bigint
}

/** What all processes of a tree are collected into. */
export interface Collection {
  readonly tree: SeenTree
  readonly seen: SeenDescriptors
  readonly pageFile: PageFile
  /** By process. */
  readonly asked: Asked
  readonly sharedMemories: SharedMemories
  /** End of what was given a place in the page file. */
  end: bigint
}

/** More than any parasite's program needs. */
const REGION_BYTES = 64n << 20n

export function collectProcess(
  target: SeenProcess,
  seized: SeizedProcess,
  collection: Collection,
  rehearsed: GadgetPlace | undefined,
  step: (name: string) => void,
): ProcessModel {
  const { pid } = target
  const { tree, seen } = collection
  const memFd = openSync(`/proc/${pid}/mem`, 'r+')
  const pagemapFd = openSync(`/proc/${pid}/pagemap`, 'r')
  try {
    step('mappings')
    const lines = tree.mappingsOf(target)
    const mappings = collectMappings(target, tree)
    const frozen = seized.tids.map((tid) => {
      const state = prepareThread(tid, lines, memFd, seized.stopSignal ?? SIGTRAP)
      return { ...state, registers: asFirstMade(state.registers, seized.sleepOf(tid).call) }
    })
    step('page tables')
    // Not before: the threads have gone on a little.
    const scan = scanPages(pagemapFd, mappings, collection.end)
    collection.sharedMemories.note(target, mappings, lines, scan.guards)
    const limits = frozen.map((state) => timeLimitIn(state, seized, memFd, lines))
    const states = frozen.map((state, i) => unnoticed(state, limits[i], memFd))
    const [leaderState, ...otherStates] = states
    if (leaderState === undefined)
      throw new CheckpointError('THAW_PROCESS_DIED', `Cannot checkpoint pid ${pid}: it ended while it was being frozen.`, { pid })
    const scratch = claimScratch(target, { memFd, pagemapFd, lines }, states)
    using lent = new LentGadgets(
      memFd,
      rehearsed !== undefined && placeStands(memFd, lines, rehearsed) ? rehearsed : gadgetsOf(target, memFd, lines),
    )
    const { gadgets } = lent
    const copy = startCopy(pid, memFd, mappings, scan, [scratch, ...lent.ranges], collection.pageFile)
    try {
      step('threads')
      const region = findHole(lines, REGION_BYTES)
      const unheard = unheardSignal(pid, states)
      const ask = <T>(state: ThreadState, questions: Questions<T>): T => askInside(questions, state, gadgets, scratch, unheard)
      const others = otherStates.map((state) => ({ state, answers: ask(state, compileThreadQuestions(region)) }))
      step('parasite')
      let signals = waitingSignals(pid, seized.tids)
      const { brk, protectionKeys, leader, ...settings } = ask(
        leaderState,
        compileQuestions(pid, region, pendingIn(signals), collection.asked.of(pid)),
      )
      let answers = settings
      // A timer that has fired since is asked as one whose signal waits. There is an end: each has one signal that waits, at most.
      for (let since = waitingSignals(pid, seized.tids); timersFired(signals, since); since = waitingSignals(pid, seized.tids)) {
        signals = since
        answers = { ...settings, ...ask(leaderState, compileTimerQuestions(pid, region, pendingIn(signals))) }
      }
      const threads = [{ state: leaderState, answers: leader }, ...others].map((thread, i) => ({
        ...collectThread(target, thread.state, signals.threads[i] ?? [], thread.answers),
        limit: limits[i],
      }))
      wipe(scratch)
      lent[Symbol.dispose]()
      copy.rest()
      collection.end = keepDeleted(pid, tree, collection.pageFile, deletedFiles(mappings, lines), scan.end)
      const status = readStatus(pid)
      // All signals that wait decide how calls go on, those of timers, which the timers send anew, too.
      const going = goingOn(threads, signals.process, answers.signalActions)
      const memory: MemoryModel = {
        mappings: withCarriedKeys(target, mappings, protectionKeys),
        protectionKeys,
        pages: scan.pages,
        guards: scan.guards,
        layout: layoutOf(pid, brk),
        executable: executableOf(target),
        auxv: readFileSync(`/proc/${pid}/auxv`),
      }
      return {
        pid: target.innerPid,
        parentPid: tree.processes.find((other) => other.pid === target.parentPid)?.innerPid ?? 0,
        groupId: innermost(status, 'NSpgid'),
        sessionId: innermost(status, 'NSsid'),
        threads: going.threads.map((thread) => ({ ...thread, pendingSignals: withoutTimers(thread.pendingSignals, answers.posixTimers) })),
        pendingSignals: withoutTimers(going.pendingSignals, answers.posixTimers),
        memory,
        descriptors: descriptorModels(seen, target),
        fileSystem: collectFileSystem(target, status),
        limits: collectLimits(pid),
        ...collectJobControl(target, seized.stopSignal),
        ...answers,
      }
    } finally {
      wipe(scratch)
    }
  } finally {
    closeSync(memFd)
    closeSync(pagemapFd)
  }
}

/** Copies while the tracer asks. What the asking needs for itself is copied when that is over, and it holds again what it held. */
function startCopy(
  pid: number,
  memFd: number,
  mappings: readonly Mapping[],
  { pages, end }: PageScan,
  borrowed: readonly Pick<Scratch, 'start' | 'lengthBytes'>[],
  pageFile: PageFile,
): { rest(): void } {
  const readable = readableIn(mappings)
  const inUse = ({ start, pageCount }: PageRange): boolean =>
    borrowed.some((range) => start < range.start + BigInt(range.lengthBytes) && range.start < start + pageCount * PAGE_BYTES)
  pageFile.require(end)
  const isLate = pages.map(inUse)
  pageFile.start(
    pid,
    memFd,
    readable,
    pages.filter((_, i) => isLate[i] !== true),
  )
  return {
    rest: () =>
      pageFile.start(
        pid,
        memFd,
        readable,
        pages.filter((_, i) => isLate[i] === true),
      ),
  }
}

/**
 * Goes through the motions on a running process: what is not carried is refused here, and the code that runs in the freeze is compiled
 * and warm by then. @param known where another process of the tree has its gadgets: forks of one program have them in the same place
 */
export function rehearseProcess(target: SeenProcess, tree: SeenTree, known: GadgetPlace | undefined): Rehearsal {
  const { pid } = target
  const memFd = openSync(`/proc/${pid}/mem`, 'r')
  const pagemapFd = openSync(`/proc/${pid}/pagemap`, 'r')
  try {
    const lines = tree.mappingsOf(target)
    refuseMemoryPolicies(target)
    const mappings = collectMappings(target, tree)
    const { end, guards } = scanPages(pagemapFd, mappings)
    refuseGuarded(target, mappings, guards)
    const { program } = compileQuestions(pid, findHole(lines, REGION_BYTES), { process: [], leader: [], others: [] })
    program.finish(0n, undefined)
    program.encode()
    collectFileSystem(target, readStatus(pid))
    executableOf(target)
    refuseWithoutRoom(target, { pagemapFd, lines })
    return { gadgets: known !== undefined && placeStands(memFd, lines, known) ? known : gadgetsOf(target, memFd, lines), pageBytes: end }
  } finally {
    closeSync(memFd)
    closeSync(pagemapFd)
  }
}

function gadgetsOf(target: SeenProcess, memFd: number, lines: readonly MappingLine[]): GadgetPlace {
  const gadgets = findGadgetPlace(memFd, lines)
  if (gadgets !== undefined) return gadgets
  throw new UnsupportedError(
    'THAW_NO_GADGETS',
    `Cannot checkpoint pid ${target.pid} (${target.name}): no code in it makes a system call and returns from a signal handler, and behind its code is no room for any.`,
    { pid: target.pid },
  )
}

function deletedFiles(mappings: readonly Mapping[], lines: readonly MappingLine[]): { file: FileIdentity; line: MappingLine }[] {
  return mappings.flatMap(({ file, start }) => {
    const line = lines.find((candidate) => candidate.start === start)
    return file?.deleted === true && file.content === null && line !== undefined ? [{ file, line }] : []
  })
}

/** Runs the parasite in a thread. */
function askInside<T>(
  { program, read }: Questions<T>,
  thread: ThreadState,
  gadgets: Gadgets,
  scratch: Scratch,
  unheard: number | undefined,
): T {
  const injection = new Injection(thread, gadgets, scratch)
  program.finish(injection.home, unheard)
  injection.begin(homeCalls(program.entry, program.sizeBytes))
  try {
    return runParasite(injection, program, scratch.memFd, read)
  } finally {
    injection.end()
  }
}

function layoutOf(pid: number, brk: bigint): Layout {
  const stat = readStat(pid)
  const at = (fieldNumber: number): bigint => BigInt(stat[fieldNumber - 3] ?? 0)
  return {
    startCode: at(26),
    endCode: at(27),
    startStack: at(28),
    startData: at(45),
    endData: at(46),
    startBrk: at(47),
    brk,
    argStart: at(48),
    argEnd: at(49),
    envStart: at(50),
    envEnd: at(51),
  }
}

function executableOf(target: SeenProcess): MemoryModel['executable'] {
  const link = readlinkSync(`/proc/${target.pid}/exe`)
  const mapped = native.statPath(`/proc/${target.pid}/exe`)
  const status = statusIfThere(target.rootPath + link)
  if (status === undefined || status.inode !== mapped.inode || status.device !== mapped.device)
    throw new CheckpointError(
      'THAW_FILE_REPLACED',
      `Cannot checkpoint pid ${target.pid} (${target.name}): its program ${link} was deleted or replaced. Restart it.`,
      { pid: target.pid, path: link },
    )
  return identityOf(target.rootPath + link, link, status)
}
