/** The tree of an image in words: who is whose child, in which sessions, who has ended, and what processes share. */
import { constants } from 'node:os'
import type { ImageModel, ProcessModel, ZombieModel } from '../image/model.js'
import { describeDescription } from './describe-description.js'
import { bytes } from './units.js'
import { nameText } from '../resources/task-name.js'

const PAGE_BYTES = 4096
/** Of those that share something; who wants all of them has --json. */
const MOST_NAMED = 8
const CORE_DUMPED = 0x80

type Task = ProcessModel | ZombieModel

/** Nothing of a process that is alone. */
export function describeTree(image: ImageModel): string[] {
  const tasks: readonly Task[] = [...image.processes, ...image.zombies]
  if (tasks.length === 1) return []
  const pids = new Set(tasks.map(({ pid }) => pid))
  const children = Map.groupBy(tasks, ({ parentPid }) => (pids.has(parentPid) ? parentPid : 0))
  return [
    '',
    counts(image),
    ...below(0, undefined, children, ''),
    ...section('shared memory', memory(image)),
    ...section('shared open files', files(image)),
  ]
}

function counts({ processes, zombies }: ImageModel): string {
  const threads = processes.reduce((sum, process) => sum + process.threads.length, 0)
  const parts = [counted(processes.length, 'process', 'processes'), counted(threads, 'thread', 'threads')]
  if (zombies.length > 0) parts.push(counted(zombies.length, 'zombie', 'zombies'))
  return `tree: ${parts.join(', ')}`
}

function below(pid: number, parent: Task | undefined, children: ReadonlyMap<number, Task[]>, indent: string): string[] {
  const all = children.get(pid) ?? []
  return all.flatMap((task, at) => {
    const isLast = at === all.length - 1
    const [branch, more] = parent === undefined ? ['', ''] : isLast ? ['└─ ', '   '] : ['├─ ', '│  ']
    return [`  ${indent}${branch}${describeTask(task, parent)}`, ...below(task.pid, task, children, indent + more)]
  })
}

/** Session and process group where they are not the parent's. */
function describeTask(task: Task, parent: Task | undefined): string {
  const words = [`${task.pid} ${nameText('threads' in task ? task.threads[0]?.name : task.name)}`]
  if (task.sessionId === task.pid) words.push('leads a session')
  else if (task.sessionId !== parent?.sessionId) words.push(`session ${task.sessionId}`)
  if (task.groupId !== parent?.groupId && task.sessionId !== task.pid)
    words.push(task.groupId === task.pid ? 'leads a process group' : `process group ${task.groupId}`)
  if (!('threads' in task)) words.push(`zombie, ${describeEnd(task.status)}`)
  else if (task.threads.length > 1) words.push(`${task.threads.length} threads`)
  return words.join('  ')
}

/** A status as wait(2) tells it. */
function describeEnd(status: number): string {
  const signal = status & ~CORE_DUMPED & 0xff
  if (signal === 0) return `exited with ${status >> 8}`
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0]
  return `killed by ${name ?? `signal ${signal}`}`
}

/** Memory that has mappings in more than one process. */
function memory({ processes, sharedMemory }: ImageModel): string[] {
  return sharedMemory.flatMap(({ id, sizeBytes, pages }) => {
    const holders = processes.filter(({ memory }) => memory.mappings.some((mapping) => mapping.sharedMemory === id))
    if (holders.length < 2) return []
    const kept = pages.reduce((sum, { pageCount }) => sum + Number(pageCount) * PAGE_BYTES, 0)
    return [`${bytes(Number(sizeBytes))}, ${bytes(kept)} kept: ${named(holders.map(({ pid }) => `pid ${pid}`))}`]
  })
}

/** Open file descriptions that are open in more than one process. */
function files({ processes, descriptions }: ImageModel): string[] {
  const places = Map.groupBy(
    processes.flatMap(({ pid, descriptors }) => descriptors.map(({ fd, description }) => ({ pid, fd, description }))),
    ({ description }) => description,
  )
  return descriptions.flatMap((description) => {
    const holders = [...Map.groupBy(places.get(description.id) ?? [], ({ pid }) => pid)]
    if (holders.length < 2) return []
    const numbers = holders.map(([pid, places]) => `pid ${pid} as ${places.map(({ fd }) => fd).join(' and ')}`)
    return [`${describeDescription(description)}: ${named(numbers)}`]
  })
}

const section = (head: string, lines: readonly string[]): string[] => (lines.length > 0 ? [head, ...lines.map((line) => `  ${line}`)] : [])

const named = (all: readonly string[]): string =>
  all.length > MOST_NAMED ? `${all.slice(0, MOST_NAMED).join(', ')} and ${all.length - MOST_NAMED} more` : all.join(', ')

const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`
