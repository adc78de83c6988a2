/**
 * The oracle: a full description of a process tree as it looks to itself, by /proc alone, so that nothing of the engine it
 * is to judge takes part. Two descriptions of the same tree, before a checkpoint and after a restore, must be equal.
 *
 * The tree is not stopped, since a stop can be seen: the caller sees to it that it only sleeps. A kernel writes the number of the
 * processor into each thread's memory (rseq): keep the tree on one, `taskset --cpu-list 0`, for equal contents.
 */

import { describeDescriptors, descriptorsOf } from './descriptors.ts'
import type { Facts } from './facts.ts'
import { Subject } from './facts.ts'
import { describeMemory } from './memory.ts'
import { describeEnded, describeNamespaces, describeWhole, hasEnded } from './process.ts'
import { innermostPid, threadsOf, treeOf } from './procfs.ts'
import { describeTask } from './task.ts'

export interface Description {
  readonly facts: Facts
}

/** @param pid the tree's root, in the caller's numbers */
export function describeProcess(pid: number): Description {
  const facts: Facts = new Map()
  const tree = treeOf(pid)
  const pids = new Map(tree.flatMap((one) => threadsOf(one).map((tid) => [tid, innermostPid(`/proc/${one}/task/${tid}`)] as const)))
  const all = tree.flatMap(descriptorsOf)
  for (const one of tree) {
    const process = new Subject(facts, `pid ${pids.get(one)}`)
    if (hasEnded(one)) {
      describeEnded(one, pids, process)
      continue
    }
    describeWhole(one, pids, process)
    for (const tid of threadsOf(one)) describeTask(one, tid, process.part(`thread ${pids.get(tid)}`))
    describeDescriptors(one, all, pids, process)
    describeMemory(one, process)
  }
  describeNamespaces(tree, pids, new Subject(facts, 'tree'))
  return { facts }
}
